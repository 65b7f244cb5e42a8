//! The only way from the runtime's threads into JavaScript: one wake-up call without arguments.
#![allow(
    unsafe_code,
    reason = "napi's ThreadsafeFunction cannot be held and let go of as a server needs"
)]

use std::{
    ffi::c_void,
    ptr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use napi::sys;

/// Calls a JavaScript function `() => void` on its own thread, from any thread.
///
/// While armed it keeps the process alive and its function from being collected; so a server is
/// armed from `listen` to its last event, and a server that does not listen costs nothing. A pool
/// of threads is armed all the time, and keeps the process alive only while it has work
/// ([`Waker::set_keep_alive`]).
#[derive(Default)]
pub(crate) struct Waker {
    target: Mutex<Option<Target>>,
}

struct Target {
    function: sys::napi_threadsafe_function,
    env: sys::napi_env,
    /// What the cleanup hook was registered with.
    hook_argument: *mut c_void,
}

// SAFETY: a thread-safe function may be called from any thread; `env` is only used by `disarm`,
// which runs on the thread it belongs to.
unsafe impl Send for Target {}

impl Waker {
    /// Calls the function soon; calls in quick succession may be one.
    pub(crate) fn wake(&self) {
        // Under the lock, so that the environment's end cannot free the function meanwhile.
        if let Some(target) = &*self.lock() {
            // SAFETY: the function is alive, since `disarm` takes it out before releasing it. A
            // refusal (environment closing, queue full) leaves nobody to be woken.
            let _ = unsafe {
                sys::napi_call_threadsafe_function(
                    target.function,
                    ptr::null_mut(),
                    sys::ThreadsafeFunctionCallMode::nonblocking,
                )
            };
        }
    }

    /// Starts to call `function`. Harmless when armed already.
    pub(crate) fn arm(
        self: &Arc<Self>,
        env: sys::napi_env,
        function: sys::napi_value,
    ) -> sys::napi_status {
        let mut target = self.lock();
        if target.is_some() {
            return sys::Status::napi_ok;
        }
        let mut threadsafe = ptr::null_mut();
        let mut name = ptr::null_mut();
        let label = b"worker-server-native";
        // SAFETY: called on the environment's thread inside a native call, with a live function;
        // the default call_js_cb calls it without arguments.
        let status = unsafe {
            let status = sys::napi_create_string_latin1(
                env,
                label.as_ptr().cast(),
                label.len() as isize,
                &mut name,
            );
            if status != sys::Status::napi_ok {
                return status;
            }
            sys::napi_create_threadsafe_function(
                env,
                function,
                ptr::null_mut(),
                name,
                0,
                1,
                ptr::null_mut(),
                None,
                ptr::null_mut(),
                None,
                &mut threadsafe,
            )
        };
        if status != sys::Status::napi_ok {
            return status;
        }
        let hook_argument = Arc::into_raw(Arc::clone(self)).cast_mut().cast();
        // SAFETY: hooks run in reverse order, so this one runs before the function's own frees it.
        // Its argument is a counted reference, given back by the hook or by `disarm`.
        unsafe { sys::napi_add_env_cleanup_hook(env, Some(on_env_cleanup), hook_argument) };
        *target = Some(Target { function: threadsafe, env, hook_argument });
        sys::Status::napi_ok
    }

    /// Whether the function keeps the process alive from now on. Must be called on the
    /// environment's thread.
    pub(crate) fn set_keep_alive(&self, keep_alive: bool) {
        let target = self.lock();
        let Some(Target { function, env, .. }) = &*target else { return };
        // SAFETY: on the environment's thread, with a live function. A failure changes nothing.
        let _ = unsafe {
            if keep_alive {
                sys::napi_ref_threadsafe_function(*env, *function)
            } else {
                sys::napi_unref_threadsafe_function(*env, *function)
            }
        };
    }

    /// Lets go of the function and the event loop. Must be called on the environment's thread.
    pub(crate) fn disarm(&self) {
        let Some(Target { function, env, hook_argument }) = self.lock().take() else { return };
        // SAFETY: on the environment's thread, which is still alive, since otherwise the hook
        // would have taken the target; the reference is the one given to the hook.
        unsafe {
            sys::napi_remove_env_cleanup_hook(env, Some(on_env_cleanup), hook_argument);
            drop(Arc::from_raw(hook_argument.cast_const().cast::<Self>()));
            release(function);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Target>> {
        self.target.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

unsafe extern "C" fn on_env_cleanup(argument: *mut c_void) {
    // SAFETY: the reference that `arm` gave away; the hook runs once.
    let waker = unsafe { Arc::from_raw(argument.cast_const().cast::<Waker>()) };
    let target = waker.lock().take();
    if let Some(target) = target {
        // SAFETY: taken out under the lock, so nobody calls it any more.
        unsafe { release(target.function) };
    }
}

/// # Safety
/// The function must be alive and nobody may call it any more.
unsafe fn release(function: sys::napi_threadsafe_function) {
    let mode = sys::ThreadsafeFunctionReleaseMode::abort;
    // SAFETY: as promised by the caller.
    let _ = unsafe { sys::napi_release_threadsafe_function(function, mode) };
}
