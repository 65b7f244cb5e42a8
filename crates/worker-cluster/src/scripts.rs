//! The scripts. Each is named by its own hash, so that two versions of a program do not disturb each
//! other; a server that does not know one gets it and is asked again, which is safe since nothing was
//! done.

use std::sync::LazyLock;

use redis::Script;

macro_rules! scripts {
    ($($name:ident = $file:literal),+ $(,)?) => {
        $(pub(crate) static $name: LazyLock<Script> = LazyLock::new(|| {
            Script::new(concat!(include_str!("lua/prelude.lua"), include_str!($file)))
        });)+
    };
}

scripts! {
    REGISTER = "lua/register.lua",
    IMPORT = "lua/import.lua",
    HEARTBEAT = "lua/heartbeat.lua",
    COUNT = "lua/count.lua",
    METRICS = "lua/metrics.lua",
    COMPLETE = "lua/complete.lua",
    DRAIN = "lua/drain.lua",
    UNREGISTER = "lua/unregister.lua",
    ACQUIRE = "lua/acquire.lua",
    RENEW = "lua/renew.lua",
    RELEASE = "lua/release.lua",
    CLEANUP = "lua/cleanup.lua",
    SWEEP = "lua/sweep.lua",
    FORGET = "lua/forget.lua",
}

pub(crate) static COMPARE_AND_SET: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("lua/compare_and_set.lua")));
