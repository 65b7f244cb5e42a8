#!/usr/bin/env node
"use strict";

process.exitCode = require("../dist/tasks/generator/command.js").runCommand(process.argv.slice(2));
