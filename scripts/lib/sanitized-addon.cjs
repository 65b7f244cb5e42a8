/*
 * A setup file of jest: lets the tests, but not jest's own add-ons, which read the same variable, load the add-on that
 * scripts/sanitize.mjs has built.
 */
"use strict";

process.env.NAPI_RS_NATIVE_LIBRARY_PATH = process.env.SANITIZED_ADDON;
