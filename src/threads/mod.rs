//! The cold part of a thread pool's surface: construct, configure, close.

mod native_slot;
pub(crate) mod pool;

use std::sync::Arc;

use napi::{JsValue, bindgen_prelude::*};
use napi_derive::napi;
use worker_server::core::{
    scaling::ScalingPolicy,
    scheduler::{Order, Policy, RetryPolicy, SlotId},
};

use crate::{callbacks::Waker, errors};

/// Options of a pool, already checked and defaulted by the facade. Times are in milliseconds.
#[napi(object)]
pub struct NativeThreadPoolOptions {
    /// Run the newest task of a priority first.
    pub is_lifo: bool,
    /// A task that has waited this long counts one priority more; 0: never.
    pub priority_aging: f64,
    /// Longest delay before a retry.
    pub max_retry_delay: f64,
    /// Share of a delay by which it varies.
    pub retry_jitter: f64,
    /// Repeat a task that reported an error.
    pub retry_on_error: bool,
    /// Repeat a task that ran for too long.
    pub retry_on_timeout: bool,
    /// Repeat a task whose thread died.
    pub retry_on_crash: bool,
    /// Most pending tasks; may be infinite.
    pub max_task_queue_size: f64,
    /// Run tasks whose dependency failed.
    pub run_after_failed_dependency: bool,
    /// Recycle a thread after so many tasks when nothing is ready; 0: never.
    pub max_tasks_per_worker: f64,
    /// Recycle a thread after so many tasks; 0: never.
    pub worker_recycle_threshold: f64,
    /// Fewest threads.
    pub min_workers: f64,
    /// Most threads.
    pub max_workers: f64,
    /// Share of busy threads from which on threads are added.
    pub scale_up_threshold: f64,
    /// Share of busy threads down to which a thread is retired.
    pub scale_down_threshold: f64,
    /// Shortest time between two additions.
    pub scale_up_cooldown: f64,
    /// Shortest time between a scaling and a retirement for low use.
    pub scale_down_cooldown: f64,
    /// A thread idle for this long is retired; infinite: never.
    pub worker_idle_timeout: f64,
}

impl NativeThreadPoolOptions {
    fn policy(&self) -> Policy {
        Policy {
            order: if self.is_lifo { Order::Lifo } else { Order::Fifo },
            aging: self.priority_aging,
            retry: RetryPolicy {
                max_delay: self.max_retry_delay,
                jitter: self.retry_jitter,
                on_error: self.retry_on_error,
                on_timeout: self.retry_on_timeout,
                on_crash: self.retry_on_crash,
            },
            // Conversions from f64 saturate.
            max_pending: self.max_task_queue_size as usize,
            run_after_failed_dependency: self.run_after_failed_dependency,
            recycle_when_idle_after: self.max_tasks_per_worker as u32,
            recycle_after: self.worker_recycle_threshold as u32,
        }
    }

    fn scaling(&self) -> ScalingPolicy {
        ScalingPolicy {
            min: self.min_workers as usize,
            max: self.max_workers as usize,
            up_threshold: self.scale_up_threshold,
            down_threshold: self.scale_down_threshold,
            up_cooldown: self.scale_up_cooldown,
            down_cooldown: self.scale_down_cooldown,
            idle_timeout: self.worker_idle_timeout,
        }
    }
}

/// The scheduler of a pool of threads. Ended by the garbage collector if nothing else does.
#[napi]
pub struct NativeThreadPool {
    number: u32,
    waker: Arc<Waker>,
}

#[napi]
impl NativeThreadPool {
    /// Calls `wake` when there are actions to take. Keeps the process alive only while told to.
    #[napi(constructor, catch_unwind)]
    pub fn new(env: Env, options: NativeThreadPoolOptions, wake: Function<(), ()>) -> Result<Self> {
        let waker = Arc::new(Waker::default());
        errors::check(waker.arm(env.raw(), wake.raw()))?;
        waker.set_keep_alive(false);
        let number = pool::add(options.policy(), options.scaling(), Arc::clone(&waker));
        Ok(Self { number, waker })
    }

    /// What raw functions know this pool by.
    #[napi(getter, catch_unwind)]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Replaces the options.
    #[napi(catch_unwind)]
    pub fn set_options(&self, options: NativeThreadPoolOptions) {
        if let Some(pool) = pool::find(self.number) {
            pool.set_policy(options.policy(), options.scaling());
        }
    }

    /// Makes the calling thread a slot of a pool: `wake` is called when there may be a task. Keeps
    /// the thread alive. Returns false if there is no such pool.
    #[napi(catch_unwind)]
    pub fn attach(env: Env, pool: u32, slot: u32, wake: Function<(), ()>) -> Result<bool> {
        let Some(pool) = pool::find(pool) else { return Ok(false) };
        let waker = Arc::new(Waker::default());
        errors::check(waker.arm(env.raw(), wake.raw()))?;
        pool.attach(SlotId(slot), waker);
        Ok(true)
    }

    /// `wake` is not called any more. The counts stay readable.
    #[napi(catch_unwind)]
    pub fn close(&self) {
        self.waker.disarm();
    }
}

impl Drop for NativeThreadPool {
    fn drop(&mut self) {
        pool::remove(self.number);
    }
}
