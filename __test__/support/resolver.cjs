"use strict";

const { existsSync } = require("node:fs");
const path = require("node:path");

const testFolder = path.dirname(__dirname);

/** Tests import each other as TypeScript wants it (`./until.js`); on disk that file is `until.ts`. */
module.exports = (request, options) => {
  if (request.startsWith(".") && request.endsWith(".js")) {
    const source = path.resolve(options.basedir, `${request.slice(0, -".js".length)}.ts`);
    if (source.startsWith(testFolder + path.sep) && existsSync(source)) return source;
  }
  return options.defaultResolver(request, options);
};
