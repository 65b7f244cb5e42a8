"use strict";

module.exports = (payload) => payload;
