"use strict";

throw new Error("broken on purpose");
