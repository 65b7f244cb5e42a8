//! Memory that the allocator keeps for later.

/// Has the system's allocator give back what it has between pieces that are in use.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code, reason = "a call of the C library")]
pub(crate) fn release() {
    // SAFETY: it may be called at any time from any thread; it takes the allocator's own locks.
    unsafe { libc::malloc_trim(0) };
}

/// Only the C library of GNU has to be asked.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn release() {}
