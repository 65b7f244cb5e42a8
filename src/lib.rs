//! The N-API edge: converts, calls, returns. It decides nothing.

mod callbacks;
mod errors;
#[cfg(feature = "fault-injection")]
mod faults;
mod fleets;
mod memory;
mod native_limits;
mod native_server;
mod raw;
mod registry;
mod runtime;
mod steady;
mod threads;

use napi::bindgen_prelude::*;
use napi_derive::napi;

/// Adds the hand-made functions to what napi-derive exports.
#[napi(module_exports)]
pub fn add_raw_functions(exports: Object, env: Env) -> Result<()> {
    #[cfg(feature = "fault-injection")]
    errors::check(raw::register_faults(env.raw(), exports.raw()))?;
    errors::check(raw::register(env.raw(), exports.raw()))
}
