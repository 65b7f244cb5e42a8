"use strict";

/** @type {import("jest").Config} */
module.exports = {
  testEnvironment: "node",
  roots: ["<rootDir>/__test__"],
  testMatch: ["<rootDir>/__test__/**/*.test.ts"],
  resolver: "<rootDir>/__test__/support/resolver.cjs",
  transform: {
    "^.+\\.ts$": [
      "@swc/jest",
      { jsc: { parser: { syntax: "typescript" }, target: "es2022" }, module: { type: "commonjs" } },
    ],
  },
  testTimeout: 20_000,
};
