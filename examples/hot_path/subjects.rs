//! Who is in the table: the mutex that people write, and the limiters of this library.

use core::hint::black_box;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use sluicegate::{
    AdaptiveRateLimiter, Clock, ConfigError, FixedWindowCounter, KeyHandle, MonotonicClock, PerKeyRateLimiter, Quota,
    SlidingWindowCounter, StripedTokenBucket, TokenBucket,
};

use crate::promise::{Promise, Window};

/// A limiter of the table. Everything below is compiled for each of them, so that calls are inlined.
pub(crate) trait Subject: Sync + Sized {
    /// In the table.
    const NAME: &'static str;
    /// Whether it is one of this library's.
    const OURS: bool = true;
    /// One of which nothing was taken yet.
    fn new(quota: Quota) -> Result<Self, ConfigError>;
    /// What it then allows.
    fn promise(quota: Quota) -> Promise {
        Promise::Bucket(quota)
    }
    /// Takes one permit, or nothing. Whoever is to be told how calls went is told that it went well.
    fn try_acquire(&self) -> bool;
    /// The same for one thread, which may have something of its own.
    #[inline(always)]
    fn worker(&self) -> impl FnMut() -> bool {
        || self.try_acquire()
    }
    /// Nanoseconds on the clock that it decides by, so that two clocks that drift apart by some parts in a million
    /// are not taken for a limit that was not kept.
    #[inline(always)]
    fn now(&self) -> u64 {
        MonotonicClock::new().now().as_nanos()
    }
}

impl Subject for TokenBucket {
    const NAME: &'static str = "TokenBucket";

    fn new(quota: Quota) -> Result<Self, ConfigError> {
        Self::new(quota)
    }

    #[inline(always)]
    fn try_acquire(&self) -> bool {
        self.try_acquire().is_ok()
    }
}

impl Subject for StripedTokenBucket {
    const NAME: &'static str = "StripedTokenBucket";

    fn new(quota: Quota) -> Result<Self, ConfigError> {
        Self::new(quota)
    }

    #[inline(always)]
    fn try_acquire(&self) -> bool {
        self.try_acquire().is_ok()
    }
}

/// A striped bucket of which each thread has a stock of its own.
pub(crate) struct Locals(StripedTokenBucket);

impl Subject for Locals {
    const NAME: &'static str = "LocalTokenBucket";

    fn new(quota: Quota) -> Result<Self, ConfigError> {
        StripedTokenBucket::new(quota).map(Self)
    }

    #[inline(always)]
    fn try_acquire(&self) -> bool {
        self.0.try_acquire().is_ok()
    }

    #[inline(always)]
    fn worker(&self) -> impl FnMut() -> bool {
        let mut local = self.0.local();
        move || local.try_acquire().is_ok()
    }
}

impl Subject for FixedWindowCounter {
    const NAME: &'static str = "FixedWindowCounter";

    fn new(quota: Quota) -> Result<Self, ConfigError> {
        let window = Window::of(quota);
        Self::new(window.limit, window.length())
    }

    fn promise(quota: Quota) -> Promise {
        Promise::EachWindow(Window::of(quota))
    }

    #[inline(always)]
    fn try_acquire(&self) -> bool {
        self.try_acquire().is_ok()
    }
}

impl Subject for SlidingWindowCounter {
    const NAME: &'static str = "SlidingWindowCounter";

    fn new(quota: Quota) -> Result<Self, ConfigError> {
        let window = Window::of(quota);
        Self::new(window.limit, window.length())
    }

    fn promise(quota: Quota) -> Promise {
        Promise::AnyWindow(Window::of(quota), 2)
    }

    #[inline(always)]
    fn try_acquire(&self) -> bool {
        self.try_acquire().is_ok()
    }
}

/// The sliding counter under its other law.
pub(crate) struct Strict(SlidingWindowCounter);

impl Subject for Strict {
    const NAME: &'static str = "SlidingWindowCounter::strict";

    fn new(quota: Quota) -> Result<Self, ConfigError> {
        let window = Window::of(quota);
        SlidingWindowCounter::strict(window.limit, window.length()).map(Self)
    }

    fn promise(quota: Quota) -> Promise {
        Promise::AnyWindow(Window::of(quota), 1)
    }

    #[inline(always)]
    fn try_acquire(&self) -> bool {
        self.0.try_acquire().is_ok()
    }
}

/// Held at one rate, so that there is a limit to be checked, and told of a success after each grant. Its burst is its own.
impl Subject for AdaptiveRateLimiter {
    const NAME: &'static str = "AdaptiveRateLimiter";

    fn new(quota: Quota) -> Result<Self, ConfigError> {
        let rate = quota.rate();
        Self::builder().base_rate(rate).min_rate(rate).max_rate(rate).build()
    }

    fn promise(quota: Quota) -> Promise {
        let rate = quota.rate();
        Promise::Bucket(Quota::from_rate(rate).burst((2.0 * rate).floor().max(1.0) as u64))
    }

    #[inline(always)]
    fn try_acquire(&self) -> bool {
        let granted = self.try_acquire().is_ok();
        if granted {
            self.record_success();
        }
        granted
    }
}

/// The key that all threads name.
const KEY: u64 = 7;

/// All threads name one key, which is looked up at each call.
impl Subject for PerKeyRateLimiter<u64> {
    const NAME: &'static str = "PerKeyRateLimiter";

    fn new(quota: Quota) -> Result<Self, ConfigError> {
        Self::new(quota)
    }

    #[inline(always)]
    fn try_acquire(&self) -> bool {
        // Hidden, or its hash could be made once for all calls.
        self.try_acquire(black_box(&KEY)).is_ok()
    }
}

/// The same key by a handle, which has found it already.
impl Subject for KeyHandle<u64> {
    const NAME: &'static str = "KeyHandle";

    fn new(quota: Quota) -> Result<Self, ConfigError> {
        PerKeyRateLimiter::new(quota).map(|limiter| limiter.handle(KEY))
    }

    #[inline(always)]
    fn try_acquire(&self) -> bool {
        (**self).try_acquire().is_ok()
    }
}

/// A token bucket as people write it.
pub(crate) struct StdMutex {
    state: Mutex<State>,
    origin: Instant,
    per_second: f64,
    burst: f64,
}

struct State {
    tokens: f64,
    last: Instant,
}

impl Subject for StdMutex {
    const NAME: &'static str = "std::sync::Mutex";
    const OURS: bool = false;

    fn new(quota: Quota) -> Result<Self, ConfigError> {
        let (now, burst) = (Instant::now(), quota.capacity() as f64);
        let state = Mutex::new(State { tokens: burst, last: now });
        Ok(Self { state, origin: now, per_second: quota.rate(), burst })
    }

    #[inline(always)]
    fn try_acquire(&self) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let earned = now.duration_since(state.last).as_secs_f64() * self.per_second;
        state.tokens = (state.tokens + earned).min(self.burst);
        state.last = now;
        let granted = state.tokens >= 1.0;
        if granted {
            state.tokens -= 1.0;
        }
        granted
    }

    #[inline(always)]
    fn now(&self) -> u64 {
        self.origin.elapsed().as_nanos() as u64
    }
}
