"use strict";

const { gzipSync } = require("node:zlib");

module.exports = ({ data }) => ({ data: gzipSync(data) });
