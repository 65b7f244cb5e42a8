//! Lets the add-on link against symbols that the host process provides.

fn main() {
    napi_build::setup();
}
