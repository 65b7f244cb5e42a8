"use strict";

// Answers, then blocks its event loop for ever.
module.exports = ({ flag }) => {
  setImmediate(() => {
    setImmediate(() => {
      Atomics.store(flag, 0, 1);
      Atomics.notify(flag, 0);
      for (;;);
    });
  });
  return flag;
};
