//! Keys that come, are held, let go, ruled anew, swept and come again under random schedules, stalls between any two
//! steps included: each is as far as one bucket would be that was there always.
//!
//! loom explores every schedule of two or three calls; here are two dozen of them.

#![allow(missing_docs)]

mod support;

use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use shuttle::rand::{Rng, thread_rng};
use shuttle::thread;
use sluicegate_shuttle::{Clock, KeyHandle, PerKeyRateLimiter, PerKeyRateLimiterBuilder, Quota};
use support::{ModelClock, explore};

const THREADS: usize = 3;
const CALLS_PER_THREAD: usize = 8;
const PERIOD: u64 = 100;
/// More than there are places for, if there is a bound on them.
const KEYS: u32 = 3;

/// What is taken of a key that shall never be full before it begins: a run moves the clock by no more periods than that.
const MISSING: u64 = THREADS as u64 * CALLS_PER_THREAD as u64;

type Keys = PerKeyRateLimiter<u32, ModelClock>;

/// One permit in 100 ns.
fn quota(burst: u64) -> Quota {
    Quota::per(1, Duration::from_nanos(PERIOD)).burst(burst)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Setting {
    /// No key is ever full, so that nothing may be lost: what each is missing at the end is known exactly.
    NeverFull,
    /// Keys are full soon and dropped by who calls, by sweeps, and for newcomers.
    Evicting,
}

impl Setting {
    fn burst(self) -> u64 {
        match self {
            Self::NeverFull => 2 * MISSING,
            Self::Evicting => 2,
        }
    }
}

/// What was granted, and what the clock showed before and after.
#[derive(Clone, Copy, Debug)]
struct Call {
    key: u32,
    from: u64,
    to: u64,
    permits: u64,
}

/// What a thread of a run has.
struct Worker {
    setting: Setting,
    keys: Arc<Keys>,
    clock: ModelClock,
    handles: Vec<(u32, KeyHandle<u32, ModelClock>)>,
    calls: Vec<Call>,
}

impl Worker {
    fn now(&self) -> u64 {
        self.clock.now().as_nanos()
    }

    fn record(&mut self, key: u32, permits: u64, op: impl FnOnce(&mut Self) -> bool) {
        let from = self.now();
        if op(self) {
            self.calls.push(Call { key, from, to: self.now(), permits });
        }
    }

    fn step(&mut self) {
        let mut rng = thread_rng();
        let (key, permits) = (rng.gen_range(0..KEYS), rng.gen_range(1..=2));
        match rng.gen_range(0..12) {
            0 | 1 => self.clock.advance([1, PERIOD / 2, PERIOD - 1, PERIOD][rng.gen_range(0..4)]),
            2 | 3 => self.handles.push((key, self.keys.handle(key))),
            4 => {
                self.handles.pop();
            }
            5 | 6 => {
                if let Some((key, handle)) = self.handles.pop() {
                    self.record(key, permits, |_| handle.try_acquire_n(permits).is_ok());
                    if rng.gen_range(0..2) == 0 {
                        self.handles.push((key, handle));
                    }
                }
            }
            7 => {
                self.keys.cleanup();
            }
            // Asked, and not waited for.
            8 => self.record(key, permits, |this| {
                let mut acquire = this.keys.acquire_n(&key, permits);
                std::pin::Pin::new(&mut acquire).poll(&mut Context::from_waker(Waker::noop())).is_ready_ok()
            }),
            // The rest is for who counts exactly: a permit that is given back can be lost to the burst, and the bound
            // on intervals is that of one quota.
            9 if self.setting == Setting::NeverFull => {
                // As if it had never been granted.
                if let Some(Call { key, permits, .. }) = self.calls.pop() {
                    self.keys.refund(&key, permits);
                }
            }
            10 if self.setting == Setting::NeverFull => {
                if let Some((_, handle)) = self.handles.last() {
                    handle.set_quota(quota(self.setting.burst() + permits)).expect("it fits");
                }
            }
            11 if self.setting == Setting::NeverFull => {
                self.keys.requota(&key);
            }
            _ => self.record(key, permits, |this| this.keys.try_acquire_n(&key, permits).is_ok()),
        }
    }
}

trait IsReadyOk {
    fn is_ready_ok(&self) -> bool;
}

impl<E> IsReadyOk for std::task::Poll<Result<(), E>> {
    fn is_ready_ok(&self) -> bool {
        matches!(self, std::task::Poll::Ready(Ok(())))
    }
}

/// No more in any interval than a burst and what comes in it.
fn check_intervals(burst: u64, calls: &[Call]) {
    for first in calls {
        for last in calls {
            let inside = |call: &&Call| call.key == first.key && call.from >= first.from && call.to <= last.to;
            let granted: u64 = calls.iter().filter(inside).map(|call| call.permits).sum();
            let length = last.to.saturating_sub(first.from);
            assert!(granted * PERIOD <= burst * PERIOD + length + 1, "{granted} in {length} ns: {calls:?}");
        }
    }
}

/// One run; returns how many calls were granted.
fn run(setting: Setting) -> u64 {
    let clock = ModelClock::at(0);
    let burst = setting.burst();
    let builder = PerKeyRateLimiterBuilder::new(quota(burst), clock.clone());
    let builder = match setting {
        Setting::NeverFull => builder.quota_for(move |key| (*key > 0).then(|| quota(burst))),
        Setting::Evicting => builder.max_keys(2).cleanup_interval(Duration::from_nanos(PERIOD / 2)),
    };
    let keys = Arc::new(builder.build().expect("it fits"));
    if setting == Setting::NeverFull {
        (0..KEYS).for_each(|key| assert!(keys.try_acquire_n(&key, MISSING).is_ok()));
    }
    let threads = (0..THREADS).map(|_| {
        let (keys, clock) = (Arc::clone(&keys), clock.clone());
        thread::spawn(move || {
            let mut worker = Worker { setting, keys, clock, handles: Vec::new(), calls: Vec::new() };
            (0..CALLS_PER_THREAD).for_each(|_| worker.step());
            worker.calls
        })
    });
    let threads: Vec<_> = threads.collect();
    let calls: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().expect("no thread panics")).collect();

    let passed = clock.now().as_nanos();
    match setting {
        Setting::NeverFull => {
            for key in 0..KEYS {
                let taken: u64 = calls.iter().filter(|call| call.key == key).map(|call| call.permits).sum();
                let missing = (MISSING + taken) * PERIOD - passed;
                let wait = keys.time_to_available(&key, burst).expect("the rule holds again").as_nanos() as u64;
                // Each change of quota may round by a nanosecond.
                assert!(wait.abs_diff(missing) <= 8, "{wait} ns, not {missing}, for {key} at {passed}: {calls:?}");
            }
            assert_eq!(keys.len(), KEYS as usize);
        }
        Setting::Evicting => check_intervals(burst, &calls),
    }
    // Nobody has a bucket any more, so all go.
    clock.advance(u64::from(u32::MAX) * PERIOD);
    keys.cleanup();
    assert_eq!(keys.len(), 0);
    calls.len() as u64
}

#[test]
fn a_key_has_one_state() {
    for setting in [Setting::NeverFull, Setting::Evicting] {
        let started = Instant::now();
        let granted = explore(10_000, move || run(setting));
        println!("{setting:?}: {granted} granted in {:.1?}", started.elapsed());
    }
}
