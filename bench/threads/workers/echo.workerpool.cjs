"use strict";

require("workerpool").worker({ run: (payload) => payload });
