//! Per-key limiters in a model: on a clock that moves, with a sweep that runs when it is called and only then.

use std::time::Duration;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;
use sluicegate_loom::{Clock, KeyHandle, PerKeyRateLimiter, PerKeyRateLimiterBuilder, Quota};

use super::{ModelClock, model};

pub type Keys<C = ModelClock> = PerKeyRateLimiter<u32, C>;
pub type Handle<C = ModelClock> = KeyHandle<u32, C>;

/// The key of the models.
pub const KEY: u32 = 1;
/// Another one, with the same hash: all keys of the models have that.
pub const OTHER: u32 = 2;

pub const PERIOD: u64 = 100;

/// Longer than any model but for its end.
const INTERVAL: u64 = 1_000 * PERIOD;

/// One permit in 100 ns.
pub const fn quota(burst: u64) -> Quota {
    every(PERIOD, burst)
}

pub const fn every(nanos: u64, burst: u64) -> Quota {
    Quota::per(1, Duration::from_nanos(nanos)).burst(burst)
}

/// A limiter as `build` says, whose keys are dropped at the end of the model at the earliest, and its clock.
pub fn keys_of(
    quota: Quota,
    build: impl FnOnce(PerKeyRateLimiterBuilder<u32, ModelClock>) -> PerKeyRateLimiterBuilder<u32, ModelClock>,
) -> (Keys, ModelClock) {
    let clock = ModelClock::meeting_at(0);
    (keys_on(quota, clock.clone(), build), clock)
}

/// The same on any clock.
pub fn keys_on<C: Clock + Clone>(
    quota: Quota,
    clock: C,
    build: impl FnOnce(PerKeyRateLimiterBuilder<u32, C>) -> PerKeyRateLimiterBuilder<u32, C>,
) -> Keys<C> {
    let builder = PerKeyRateLimiterBuilder::new(quota, clock).cleanup_interval(Duration::from_nanos(INTERVAL));
    build(builder).build().expect("a valid quota")
}

/// A limiter of which [`KEY`] has taken `n` permits, and its clock.
pub fn taken(quota: Quota, n: u64) -> (Keys, ModelClock) {
    let shared = keys_of(quota, |builder| builder);
    assert_eq!(shared.0.try_acquire_n(&KEY, n), Ok(()));
    shared
}

/// The same, with a handle.
pub fn held(quota: Quota, n: u64) -> (Keys, ModelClock, Handle) {
    let (keys, clock) = taken(quota, n);
    let handle = keys.handle(KEY);
    (keys, clock, handle)
}

/// A limiter whose keys are dropped as soon as they were full for a period, of which [`KEY`] has taken all permits; for
/// models that are made [`after_a_sweep`] and end with [`sweep_of_itself`].
pub fn sweeping(quota: Quota) -> (Keys, ModelClock) {
    let shared = keys_of(quota, |builder| builder.cleanup_interval(Duration::from_nanos(PERIOD)));
    assert_eq!(shared.0.try_acquire_n(&KEY, quota.capacity()), Ok(()));
    shared
}

/// While a pass is due, a piece is swept at every so many-th call of the thread, whichever limiter's; all threads of a
/// model, and all its executions, are one thread to whoever counts. They must be alike, so each is begun with that
/// count at its beginning: then it does not come to its end in the few calls of a model.
pub fn after_a_sweep(run: impl FnOnce()) {
    loom::model(sweep_of_itself);
    run();
}

/// Brings that count to its beginning again, at the end of a model, where executions need not be alike.
pub fn sweep_of_itself() {
    let (swept, clock) = keys_of(quota(1), |builder| builder.cleanup_interval(Duration::from_nanos(PERIOD)));
    assert!(swept.try_acquire(&KEY).is_ok());
    while !swept.is_empty() {
        clock.advance(2 * PERIOD);
        assert!(swept.try_acquire_n(&OTHER, 2).is_err());
    }
}

pub fn granted<E>(result: Result<(), E>) -> u64 {
    u64::from(result.is_ok())
}

/// Nanoseconds until [`KEY`] has `n` permits.
pub fn wait<C: Clock>(keys: &Keys<C>, n: u64) -> u64 {
    keys.time_to_available(&KEY, n).expect("no more than the burst").as_nanos() as u64
}

/// Nobody has a bucket any more, and none stayed behind: each key is a word, which is dropped when it has been full for
/// long. What is given is how many there are.
pub fn assert_are_words(keys: &Keys, clock: &ModelClock, known: usize) {
    assert_eq!(keys.len(), known);
    clock.advance(2 * INTERVAL);
    assert_eq!(keys.cleanup(), known, "somebody is said to have a bucket");
    assert!(keys.is_empty());
}

/// The map and the handle speak of one bucket: what is taken by the one is missing by the other.
pub fn assert_is_one(keys: &Keys, clock: &ModelClock, handle: &Handle) {
    clock.advance(PERIOD);
    let there = handle.available();
    assert_eq!(keys.available(&KEY), there);
    assert!(there > 0);
    assert!(keys.try_acquire(&KEY).is_ok());
    assert_eq!(handle.available(), there - 1);
    handle.refund(1);
    assert_eq!(keys.available(&KEY), there);
}

/// Races `a` with `b`, who have each something of their own, in both orders: see [`race`](super::race).
pub fn race_with<C: Clock + Clone + 'static, P: 'static, Q: 'static, A: 'static, B: 'static>(
    name: &'static str,
    preemptions: usize,
    setup: fn() -> (Keys<C>, C, P, Q),
    a: fn(&Keys<C>, &C, P) -> A,
    b: fn(&Keys<C>, &C, Q) -> B,
    check: fn(&Keys<C>, &C, A, B),
) {
    model(name, preemptions, move || {
        let (keys, clock, mine, other) = setup();
        let keys = Arc::new(keys);
        let (there_keys, there_clock) = (keys.clone(), clock.clone());
        let there = thread::spawn(move || b(&there_keys, &there_clock, other));
        let here = a(&keys, &clock, mine);
        check(&keys, &clock, here, there.join().unwrap());
    });
    model(name, preemptions, move || {
        let (keys, clock, other, mine) = setup();
        let keys = Arc::new(keys);
        let (there_keys, there_clock) = (keys.clone(), clock.clone());
        let there = thread::spawn(move || a(&there_keys, &there_clock, other));
        let here = b(&keys, &clock, mine);
        check(&keys, &clock, there.join().unwrap(), here);
    });
}

/// What `quota_for` answers: it can be changed while the limiter is asked.
#[derive(Clone)]
pub struct Plan(Arc<AtomicU64>);

impl Plan {
    /// The burst of one permit in 100 ns; 0 is none that a bucket can keep.
    pub fn set(&self, burst: u64) {
        self.0.store(burst, Ordering::Release);
    }

    pub fn burst(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// A limiter whose own quota is of burst 1, and that asks a plan.
pub fn planned(burst: u64) -> (Keys, ModelClock, Plan) {
    let clock = ModelClock::meeting_at(0);
    let (keys, plan) = planned_on(clock.clone(), burst);
    (keys, clock, plan)
}

/// The same on any clock.
pub fn planned_on<C: Clock + Clone>(clock: C, burst: u64) -> (Keys<C>, Plan) {
    let plan = Plan(Arc::new(AtomicU64::new(burst)));
    let asked = plan.clone();
    let keys = keys_on(quota(1), clock, |builder| builder.quota_for(move |_| Some(quota(asked.burst()))));
    (keys, plan)
}

/// The burst of [`KEY`] as calls find it.
pub fn burst<C: Clock>(keys: &Keys<C>) -> u64 {
    match keys.try_acquire_n(&KEY, 1_000) {
        Err(sluicegate_loom::RateLimitExceeded::ExceedsCapacity { capacity, .. }) => capacity,
        other => panic!("{other:?}"),
    }
}
