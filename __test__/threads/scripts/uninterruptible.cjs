"use strict";

const { execSync } = require("node:child_process");

module.exports = ({ action }) => {
  if (action === "ping") return "pong";
  // Native code that waits for the child cannot be interrupted.
  execSync(`"${process.execPath}" -e "setTimeout(() => {}, 1500)"`);
  return "woke up";
};
