//! Counters are exact, whoever counts: more threads at once than there are stripes, threads that come and go so that
//! what they count with is handed on, and threads that count while they end.
//!
//! "Kills" names a change of the library that the test was seen to fail on.

#![allow(missing_docs)]

use std::cell::RefCell;
use std::sync::{Arc, Barrier};
use std::thread;

use sluicegate::{AdaptiveRateLimiter, AdaptiveStats, ManualClock, Quota, RateLimiterStats, TokenBucket};

/// More than the 64 stripes that there are at the most.
const CROWD: u64 = 100;

struct Both {
    bucket: TokenBucket<ManualClock>,
    limiter: AdaptiveRateLimiter<ManualClock>,
}

impl Both {
    /// With a burst of a thousand each, on a clock that stands still.
    fn new() -> Self {
        let clock = ManualClock::new();
        Self {
            bucket: TokenBucket::builder(Quota::per_second(1_000)).clock(clock.clone()).stats().build().unwrap(),
            limiter: AdaptiveRateLimiter::builder().base_rate(500.0).clock(clock).build().unwrap(),
        }
    }

    /// So many calls of each, of which every third is reported as an error.
    fn call(&self, calls: u64) {
        for call in 0..calls {
            let _ = (self.bucket.try_acquire(), self.limiter.try_acquire());
            if call % 3 == 0 { self.limiter.record_error() } else { self.limiter.record_success() }
        }
    }

    /// Of `threads` that made so many calls each.
    fn check(&self, threads: u64, calls: u64) {
        let (total, allowed) = (threads * calls, (threads * calls).min(1_000));
        let RateLimiterStats { total_requests, allowed_requests, rejected_requests, .. } = self.bucket.stats().unwrap();
        assert_eq!((total_requests, allowed_requests, rejected_requests), (total, allowed, total - allowed));
        let stats: AdaptiveStats = self.limiter.stats();
        let counted = (stats.total_requests, stats.allowed_requests, stats.rejected_requests);
        assert_eq!(counted, (total, allowed, total - allowed));
        assert_eq!((stats.window_samples, stats.window_errors), (total, threads * calls.div_ceil(3)));
        assert_eq!(stats.current_rate, 500.0, "the window goes on");
    }
}

/// Kills: threads without a stripe of their own that count as if they had one.
#[test]
fn more_threads_at_once_than_stripes_lose_no_count() {
    const CALLS: u64 = 30_000;
    let both = Both::new();
    // All are there before the first one counts, and until the last one has counted.
    let barrier = Barrier::new(CROWD as usize);
    thread::scope(|scope| {
        for _ in 0..CROWD {
            scope.spawn(|| {
                both.call(1);
                barrier.wait();
                both.call(CALLS);
                barrier.wait();
            });
        }
    });
    let stats = both.limiter.stats();
    assert_eq!(stats.total_requests, CROWD * (CALLS + 1));
    assert_eq!((stats.window_samples, stats.window_errors), (CROWD * (CALLS + 1), CROWD * (CALLS / 3 + 1)));
    assert_eq!(both.bucket.stats().unwrap().total_requests, CROWD * (CALLS + 1));
}

#[test]
fn threads_that_come_and_go_lose_no_count() {
    const THREADS: u64 = 500;
    const CALLS: u64 = 200;
    let both = Both::new();
    // In waves that overlap: each begins before the last one has come to its end.
    thread::scope(|scope| {
        let mut wave: Vec<thread::ScopedJoinHandle<'_, ()>> = Vec::new();
        for _ in 0..THREADS / 20 {
            let next: Vec<_> = (0..20).map(|_| scope.spawn(|| both.call(CALLS))).collect();
            wave.drain(..).for_each(|thread| thread.join().unwrap());
            wave = next;
        }
    });
    both.check(THREADS, CALLS);
}

/// Counts when it is dropped.
struct Last {
    both: Arc<Both>,
    calls: u64,
}

impl Drop for Last {
    fn drop(&mut self) {
        self.both.call(self.calls);
    }
}

thread_local! {
    static EARLY: RefCell<Option<Last>> = const { RefCell::new(None) };
    static LATE: RefCell<Option<Last>> = const { RefCell::new(None) };
}

/// Locals are dropped in the order in which they were first used, or the other way round: one of them is before the
/// thread's first call, and one after it, so that one counts when the thread has given its number back; while others
/// begin, who get it. Kills: a thread that goes on with the number that it gave back.
#[test]
fn threads_that_count_while_they_end_lose_no_count() {
    const THREADS: u64 = 200;
    const CALLS: u64 = 2_000;
    for calls_while_alive in [0, 6] {
        let both = Arc::new(Both::new());
        let run = move |both: Arc<Both>| {
            let last = || Some(Last { both: Arc::clone(&both), calls: CALLS * 3 });
            EARLY.with(|local| *local.borrow_mut() = last());
            both.call(calls_while_alive);
            LATE.with(|local| *local.borrow_mut() = last());
        };
        let mut threads = std::collections::VecDeque::new();
        for _ in 0..THREADS {
            let both = Arc::clone(&both);
            threads.push_back(thread::spawn(move || run(both)));
            if threads.len() > 8 {
                threads.pop_front().unwrap().join().unwrap();
            }
        }
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        both.check(THREADS, calls_while_alive + 2 * CALLS * 3);
    }
}
