"use strict";

const sharp = require("sharp");

// A thread of libvips for each of the two threads of the pool, as the native handler has one each.
sharp.concurrency(1);

module.exports = async ({ image, width }) => ({
  data: await sharp(Buffer.from(image)).resize(width).jpeg().toBuffer(),
});
