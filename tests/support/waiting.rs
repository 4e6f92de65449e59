//! For waiters: wakers that tell when they were woken, one poll at a time, and a clock that can be turned back.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use sluicegate::{Clock, MonotonicClock, Nanos};

pub const HOUR: Duration = Duration::from_secs(3_600);

/// Longer than any test may take on the busiest machine, and far less than an hour.
pub const SOON: Duration = Duration::from_secs(60);

/// Counts how often it was woken.
#[derive(Debug, Default)]
pub struct Wakes(AtomicU64);

impl Wakes {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Since the last call.
    pub fn take(&self) -> u64 {
        self.0.swap(0, Ordering::SeqCst)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Runs what it was made of when it is woken.
pub struct Runs<F>(pub F);

impl<F: Fn() + Send + Sync + 'static> Wake for Runs<F> {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

/// A waker that does this.
pub fn runs(call: impl Fn() + Send + Sync + 'static) -> Waker {
    Waker::from(Arc::new(Runs(call)))
}

/// Polls once.
pub fn poll<F: Future + Unpin>(future: &mut F, wakes: &Arc<Wakes>) -> Poll<F::Output> {
    poll_with(future, &Waker::from(Arc::clone(wakes)))
}

/// The same with any waker.
pub fn poll_with<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

/// Waits for other threads.
pub fn eventually(what: &str, is: impl Fn() -> bool) {
    let started = Instant::now();
    while !is() {
        assert!(started.elapsed() < SOON, "not within {SOON:?}: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Real time, which can be turned back.
#[derive(Debug)]
pub struct Turned {
    real: MonotonicClock,
    back: AtomicU64,
}

impl Turned {
    pub fn new() -> Self {
        Self { real: MonotonicClock::new(), back: AtomicU64::new(0) }
    }

    pub fn turn_back(&self, by: Duration) {
        self.back.fetch_add(by.as_nanos() as u64, Ordering::SeqCst);
    }
}

impl Clock for Turned {
    fn now(&self) -> Nanos {
        let now = self.real.now().as_nanos() + (48 * HOUR).as_nanos() as u64;
        Nanos::from_nanos(now - self.back.load(Ordering::SeqCst))
    }
}
