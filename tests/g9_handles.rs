//! G9, with handles, tiers, waiting and reservations: whichever way a key is called, whether it has a word, a bucket or is
//! forgotten, it has one state, that of a [`TokenBucket`] that is never forgotten. Call by call on a clock moved by hand,
//! and with threads on the real one, where G1 holds for each key over all intervals.
//!
//! "Kills" names a change of the library that the test was seen to fail on.

#![allow(missing_docs)]
#![cfg(all(feature = "per-key", feature = "async"))]

mod support;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use sluicegate::{
    Acquire, KeyAcquire, KeyHandle, ManualClock, MonotonicClock, Nanos, OwnedKeyReservation, OwnedReservation,
    PerKeyRateLimiter, Quota, RateLimitExceeded, TokenBucket,
};
use support::intervals::{Call, worst_excess};
use support::quotas::{Permits, UNIX_NOW, any_quota, cases, magnitude, permits};
use support::threads::{Random, timed};
use support::waiting::{Wakes, poll};

const KEYS: usize = 6;
const NAMES: [usize; KEYS] = [0, 1, 2, 3, 4, 5];

type Time = Arc<ManualClock>;
type Limiter = PerKeyRateLimiter<usize, Time>;

// --- Beside a bucket that is never forgotten

#[derive(Clone, Copy, Debug)]
enum Op {
    Acquire,
    Refund,
    Cleanup,
    Remove,
    Clear,
    Requota,
    /// As often as it takes for the calls themselves to sweep a piece.
    Poll,
    Hold,
    Clone,
    Release,
    /// By a handle.
    Take,
    UpTo,
    Charge,
    GiveBack,
    Reserve,
    Commit,
    Cancel,
    Join,
    Look,
    Leave,
}

fn op() -> impl Strategy<Value = (Op, Permits)> {
    let op = prop_oneof![
        8 => Just(Op::Acquire),
        1 => Just(Op::Refund),
        4 => Just(Op::Cleanup),
        1 => Just(Op::Remove),
        1 => Just(Op::Clear),
        3 => Just(Op::Requota),
        1 => Just(Op::Poll),
        4 => Just(Op::Hold),
        1 => Just(Op::Clone),
        6 => Just(Op::Release),
        3 => Just(Op::Take),
        1 => Just(Op::UpTo),
        2 => Just(Op::Charge),
        1 => Just(Op::GiveBack),
        2 => Just(Op::Reserve),
        1 => Just(Op::Commit),
        1 => Just(Op::Cancel),
        3 => Just(Op::Join),
        2 => Just(Op::Look),
        3 => Just(Op::Leave),
    ];
    (op, permits())
}

/// Forward, in parts of 2^16 of the time in which the bucket fills.
fn forward() -> impl Strategy<Value = u32> {
    prop_oneof![
        4 => Just(0),
        3 => 0_u32..1 << 14,
        2 => 0_u32..1 << 17,
        1 => magnitude(18).prop_map(|parts| parts as u32),
    ]
}

fn quota() -> impl Strategy<Value = Quota> {
    let round = (1_u64..50, 1_u64..8).prop_map(|(rate, burst)| Quota::per_second(rate).burst(burst));
    prop_oneof![1 => round, 2 => any_quota()]
}

fn fills(quota: &Quota) -> u128 {
    u128::from(quota.capacity()) * quota.period().as_nanos() / u128::from(quota.permits())
}

/// What uses a key, and the same of its bucket.
#[derive(Default)]
struct Uses<'a> {
    handles: Vec<KeyHandle<usize, Time>>,
    reserved: Vec<(OwnedKeyReservation<usize, Time>, OwnedReservation<Time>)>,
    waiting: Vec<(KeyAcquire<'a, usize, usize, Time>, Acquire<'a, Time>)>,
}

impl Uses<'_> {
    fn is_none(&self) -> bool {
        self.handles.is_empty() && self.reserved.is_empty() && self.waiting.is_empty()
    }
}

proptest! {
    #![proptest_config(cases(1_500))]

    /// Kills: a bucket that starts full; debt that ends with the last handle; a clean-up that drops a key in use; a sweep
    /// under the limiter's quota instead of the key's; a removed key that keeps its bucket; a key that stays in use.
    #[test]
    fn every_answer_is_the_bucket_s(
        quotas in [quota(), quota(), quota()],
        stats in any::<bool>(),
        tiers in any::<bool>(),
        origin in prop_oneof![Just(0), Just(UNIX_NOW), magnitude(60)],
        interval in prop_oneof![Just(0), 0_u32..1 << 16],
        max_keys in 1..=KEYS + 1,
        steps in prop::collection::vec((forward(), op(), 0..KEYS), 1..150),
    ) {
        let clock = Time::default();
        clock.set(Nanos::from_nanos(origin));
        let of = move |key: usize| if tiers { quotas[key % 3] } else { quotas[0] };
        let every = ((fills(&quotas[0]) * u128::from(interval)) >> 16).max(1) as u64;
        let builder = PerKeyRateLimiter::builder(quotas[0]).clock(Arc::clone(&clock)).max_keys(max_keys);
        let builder = builder.cleanup_interval(Duration::from_nanos(every));
        let builder = if stats { builder.stats() } else { builder };
        let builder = if tiers { builder.quota_for(move |&key| (key % 3 > 0).then(|| of(key))) } else { builder };
        let limiter: Limiter = builder.build().unwrap();
        let buckets: Vec<Arc<TokenBucket<Time>>> = NAMES.iter().map(|key| {
            let bucket = TokenBucket::with_clock(of(*key), Arc::clone(&clock)).unwrap();
            // Time begins now: for the buckets, and for the tiers, with the first question.
            assert_eq!(bucket.available(), limiter.available(key));
            Arc::new(bucket)
        }).collect();
        let owners = Arc::strong_count(&clock);
        let wakes = Wakes::new();
        let mut uses: [Uses<'_>; KEYS] = std::array::from_fn(|_| Uses::default());
        let mut now = origin;
        for (step, (op, permits), key) in steps {
            let (bucket, quota) = (&buckets[key], of(key));
            now = now.saturating_add(((fills(&quota) * u128::from(step)) >> 16) as u64);
            clock.set(Nanos::from_nanos(now));
            let (name, n, used) = (&NAMES[key], permits.of(quota.capacity()), &mut uses[key]);
            let acquire = |n| match limiter.try_acquire_n(name, n) {
                Err(RateLimitExceeded::KeysExhausted { max_keys: told }) => {
                    prop_assert!(told == max_keys && !limiter.contains_key(name));
                    Ok(())
                }
                answer => {
                    prop_assert_eq!(answer, bucket.try_acquire_n(n));
                    Ok(())
                }
            };
            match op {
                Op::Acquire => acquire(n)?,
                Op::Poll => for _ in 0..64 {
                    acquire(1)?;
                },
                Op::Refund => {
                    limiter.refund(name, n);
                    bucket.refund(n);
                }
                Op::Cleanup => {
                    let before = limiter.len();
                    let dropped = limiter.cleanup();
                    prop_assert_eq!(limiter.len(), before - dropped);
                }
                Op::Remove => {
                    let known = limiter.contains_key(name);
                    prop_assert_eq!(limiter.remove(name), known);
                    bucket.refund(u64::MAX);
                }
                Op::Clear => {
                    limiter.clear();
                    buckets.iter().for_each(|bucket| bucket.refund(u64::MAX));
                }
                Op::Requota => {
                    let known = limiter.contains_key(name);
                    prop_assert_eq!(limiter.requota(name), known);
                }
                Op::Hold => {
                    let known = limiter.contains_key(name);
                    let handle = limiter.handle(*name);
                    if limiter.contains_key(name) {
                        used.handles.push(handle);
                    } else {
                        prop_assert!(!known && limiter.len() == max_keys);
                        prop_assert_eq!(handle.quota().capacity(), 0);
                        prop_assert!(n == 0 || handle.try_acquire_n(n).is_err());
                    }
                }
                Op::Clone => used.handles.extend(used.handles.first().cloned()),
                Op::Release => _ = used.handles.pop(),
                Op::Take => for handle in &used.handles {
                    prop_assert_eq!(handle.try_acquire_n(n), bucket.try_acquire_n(n));
                },
                Op::UpTo => for handle in &used.handles {
                    prop_assert_eq!(handle.try_acquire_up_to(n), bucket.try_acquire_up_to(n));
                },
                Op::Charge => for handle in &used.handles {
                    prop_assert_eq!(handle.charge(n), bucket.charge(n));
                },
                Op::GiveBack => for handle in &used.handles {
                    handle.refund(n);
                    bucket.refund(n);
                },
                Op::Reserve => {
                    let handle = limiter.handle(*name);
                    // Unless there is no place for it.
                    if limiter.contains_key(name) {
                        match (handle.try_reserve_owned(n), Arc::clone(bucket).try_reserve_owned(n)) {
                            (Ok(one), Ok(other)) => used.reserved.push((one, other)),
                            (one, other) => prop_assert_eq!(one.err(), other.err()),
                        }
                    }
                }
                Op::Commit => if let Some((one, other)) = used.reserved.pop() {
                    prop_assert_eq!(one.commit(n), other.commit(n));
                },
                Op::Cancel => if let Some((one, other)) = used.reserved.pop() {
                    one.cancel();
                    other.cancel();
                },
                Op::Join => {
                    let mut one = limiter.acquire_n(name, n);
                    let answer = poll(&mut one, &wakes);
                    let full = RateLimitExceeded::KeysExhausted { max_keys };
                    if answer != std::task::Poll::Ready(Err(full)) {
                        let mut other = bucket.acquire_n(n);
                        prop_assert_eq!(answer, poll(&mut other, &wakes));
                        if answer.is_pending() {
                            used.waiting.push((one, other));
                        }
                    }
                }
                Op::Look => {
                    let mut answers = Vec::new();
                    used.waiting.retain_mut(|(one, other)| {
                        answers.push((poll(one, &wakes), poll(other, &wakes)));
                        answers[answers.len() - 1].0.is_pending()
                    });
                    prop_assert!(answers.iter().all(|(one, other)| one == other), "{answers:?}");
                }
                Op::Leave => if !used.waiting.is_empty() {
                    drop(used.waiting.remove(n as usize % used.waiting.len()));
                },
            }
            for (key, used) in uses.iter().enumerate() {
                prop_assert!(used.is_none() || limiter.contains_key(&key));
                prop_assert!(used.handles.iter().all(|handle| handle.quota() == of(key)));
            }
            prop_assert!(limiter.len() <= max_keys);
            // A bucket for each key in use, and for no other.
            let in_use = uses.iter().filter(|used| !used.is_none()).count();
            prop_assert_eq!(Arc::strong_count(&clock), owners + in_use);
            // Of all keys, whoever was forgotten.
            for (key, bucket) in buckets.iter().enumerate() {
                prop_assert_eq!(limiter.available(&key), bucket.available());
                let n = of(key).capacity();
                prop_assert_eq!(limiter.time_to_available(&key, n), bucket.time_to_available(n));
            }
        }
    }
}

// --- Threads on the real clock

/// Takes a call's permits.
fn record(trace: &mut Vec<(usize, Call)>, key: usize, permits: u64, call: impl FnOnce() -> bool) {
    let (granted, start, end) = timed(call);
    if granted {
        trace.push((key, Call { start, end, permits }));
    }
}

/// Each key is hot for a while, then full and forgotten, and hot again, so that it is let in, held, released, waited for,
/// asked for again and dropped by several threads at once.
///
/// Kills: a word that is not marked; a bucket that is dropped while it has a user; debt that ends with the last handle; a
/// clean-up that drops a key in use; a sweep under the limiter's quota instead of the key's.
#[test]
fn a_key_never_has_two_states() {
    const HOT: usize = 16;
    const RATE: u64 = 20_000;
    const BURST: u64 = 5;
    let quota = Quota::per_second(RATE).burst(BURST);
    let builder =
        PerKeyRateLimiter::<usize>::builder(Quota::per_second(1)).cleanup_interval(Duration::from_micros(300));
    let limiter = builder.quota_for(move |_| Some(quota)).stats().build().unwrap();
    let (limiter, started) = (&limiter, Instant::now());
    let worker = |thread: u64| {
        move || {
            let (mut random, mut trace, mut held) = (Random::new(thread + 1), Vec::new(), Vec::new());
            while started.elapsed() < Duration::from_millis(1_500) {
                let hot = started.elapsed().as_micros() as usize / 700;
                let key = (hot + random.next() as usize % 2) % HOT;
                match random.next() % 16 {
                    0 => held.push((key, limiter.handle(key))),
                    1 | 2 => held.clear(),
                    3 => record(&mut trace, key, 1, || limiter.handle(key).try_acquire().is_ok()),
                    4 => record(&mut trace, key, 2, || {
                        limiter.handle(key).try_reserve_owned(2).is_ok_and(|reserved| reserved.commit(2) == 2)
                    }),
                    5 => _ = limiter.requota(&key),
                    6 => _ = limiter.cleanup(),
                    7 => record(&mut trace, key, 1, || {
                        limiter.blocking_acquire_timeout(&key, 1, Duration::from_micros(100)).is_ok()
                    }),
                    8 => {
                        if let Some((key, handle)) = held.last() {
                            record(&mut trace, *key, 1, || handle.try_acquire().is_ok());
                        }
                    }
                    _ => record(&mut trace, key, 1, || limiter.try_acquire(&key).is_ok()),
                }
                if held.len() > 3 {
                    held.clear();
                }
            }
            trace
        }
    };
    let traces: Vec<(usize, Call)> = thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|thread| scope.spawn(worker(thread))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let mut by_key: HashMap<usize, Vec<Call>> = HashMap::new();
    traces.into_iter().for_each(|(key, call)| by_key.entry(key).or_default().push(call));
    let worst = by_key.values().map(|calls| worst_excess(calls, RATE, 1_000_000_000)).fold(0.0, f64::max);
    println!("{} grants, at worst {worst:.3} of {BURST} in an instant", by_key.values().map(Vec::len).sum::<usize>());
    assert!(worst <= BURST as f64, "{worst} beyond the rate");
    assert!(worst > BURST as f64 - 1.0, "the burst was never there: nothing is shown");
    // All were released: when they have been full for long, nobody is left.
    thread::sleep(Duration::from_millis(5));
    limiter.cleanup();
    assert!(limiter.is_empty(), "{limiter:?}");
}

/// On a clock that stands still every permit is counted: of each key one burst, however often it is held, released,
/// waited for, asked for again and given another quota, and one more for each time that it is removed.
///
/// Kills: a word that is not marked; debt that ends with the last handle; a bucket that is dropped while it has a user; a
/// clean-up that drops a key in use.
#[test]
fn a_standing_clock_grants_a_burst_and_one_for_each_removal() {
    const BURST: u64 = 300;
    for round in 0..90 {
        let (removes, changes) = (round % 3 == 1, round % 3 == 2);
        let builder = PerKeyRateLimiter::<usize>::builder(Quota::per_hour(BURST)).clock(ManualClock::new());
        let builder = if round % 2 == 0 { builder.stats() } else { builder };
        let limiter = builder.build().unwrap();
        let (granted, removed, start) = (AtomicU64::new(0), AtomicU64::new(0), Barrier::new(3));
        thread::scope(|scope| {
            for thread in 0..3 {
                let (limiter, granted, removed, start) = (&limiter, &granted, &removed, &start);
                scope.spawn(move || {
                    let mut random = Random::new((round * 3 + thread + 1) as u64);
                    start.wait();
                    for _ in 0..400 {
                        let got = match random.next() % 8 {
                            0 => limiter.handle(7).try_acquire().is_ok(),
                            1 => limiter.blocking_acquire_timeout(&7, 1, Duration::ZERO).is_ok(),
                            2 => limiter.handle(7).try_reserve_owned(1).is_ok_and(|reserved| reserved.commit(1) == 1),
                            3 => {
                                limiter.requota(&7);
                                false
                            }
                            4 if changes => {
                                // Cut to the new burst, it has less, never more.
                                let handle = limiter.handle(7);
                                handle.set_quota(Quota::per_second(1 + random.next() % 1_000)).unwrap();
                                handle.try_acquire().is_ok()
                            }
                            4 => {
                                limiter.cleanup();
                                false
                            }
                            5 if removes && random.next() % 8 == 0 => {
                                limiter.remove(&7);
                                removed.fetch_add(1, Ordering::Relaxed);
                                false
                            }
                            _ => limiter.try_acquire(&7).is_ok(),
                        };
                        granted.fetch_add(u64::from(got), Ordering::Relaxed);
                    }
                });
            }
        });
        let (granted, removed) = (granted.into_inner(), removed.into_inner());
        assert!(granted <= BURST * (removed + 1), "{granted} after {removed} removals");
        if !removes && !changes {
            assert_eq!((granted, limiter.available(&7), limiter.len()), (BURST, 0, 1));
        }
    }
}

/// Handles of keys used once, from several threads, in a map with few places, which strangers take and leave: who is let in
/// is alone with its key, so it always has what it left; who is not has nothing; and in the end nobody is held.
/// Kills: a word that is not marked; debt that ends with the last handle; a key in use that is dropped for a newcomer; a
/// handle that is let in beyond the bound.
#[test]
fn handles_in_a_flood_are_never_denied_what_is_theirs() {
    const MAX_KEYS: usize = 50;
    let builder = PerKeyRateLimiter::<u64>::builder(Quota::per_hour(4)).max_keys(MAX_KEYS);
    let limiter = builder.cleanup_interval(Duration::from_micros(100)).build().unwrap();
    let (let_in, kept_out) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for thread in 0..3_u64 {
            let (limiter, let_in, kept_out) = (&limiter, &let_in, &kept_out);
            scope.spawn(move || {
                let mut strangers = Vec::new();
                for n in 0..8_000 {
                    let key = thread << 32 | n;
                    let stranger = 1 << 40 | key;
                    if limiter.try_acquire(&stranger).is_ok() {
                        strangers.push(stranger);
                    }
                    if n % 3 == 0 {
                        strangers.pop().map(|stranger| limiter.remove(&stranger));
                    }
                    assert!(limiter.len() <= MAX_KEYS);
                    let handle = limiter.handle(key);
                    if handle.quota().capacity() == 0 {
                        let never = RateLimitExceeded::ExceedsCapacity { requested: 1, capacity: 0 };
                        assert_eq!((handle.try_acquire(), limiter.contains_key(&key)), (Err(never), false));
                        kept_out.fetch_add(1, Ordering::Relaxed);
                        continue;
                    }
                    let_in.fetch_add(1, Ordering::Relaxed);
                    assert_eq!((handle.try_acquire(), limiter.try_acquire(&key)), (Ok(()), Ok(())));
                    let _ = limiter.try_acquire(&((1 << 41) + n % 2));
                    drop(handle);
                    let again = limiter.handle(key);
                    assert_eq!((again.try_acquire_n(2), limiter.try_acquire(&key).is_err()), (Ok(()), true));
                    again.refund(4);
                    drop(again);
                    assert!(n % 2 == 0 || limiter.remove(&key) || !limiter.contains_key(&key));
                }
            });
        }
    });
    println!("{} were let in, {} not", let_in.load(Ordering::Relaxed), kept_out.load(Ordering::Relaxed));
    assert!(let_in.into_inner() > 100 && kept_out.into_inner() > 100, "one of them is not shown");
    limiter.clear();
    assert!(limiter.is_empty());
    let _: &PerKeyRateLimiter<u64, MonotonicClock> = &limiter;
}
