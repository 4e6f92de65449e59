//! G11: striped buckets and workers' stocks keep the bound of the bucket exactly: over every interval, what is granted less
//! what is given back is at most burst + rate * (T + 1 ns). Proved by looking at all intervals of traces of threads, and by
//! hoarding: every place full, then everything at once. And what it costs is bounded: one call gets 15/16 of the burst, or
//! 3/4 with locals; nothing else is lost.
//!
//! "Kills" names a change of the library that the test was seen to fail on.

mod support;

use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::Duration;

use proptest::prelude::*;
use sluicegate::{
    Clock, LocalTokenBucket, ManualClock, MonotonicClock, Nanos, Quota, RateLimitExceeded, StripedTokenBucket,
    TokenBucket,
};
use support::clocks::Stopped;
use support::intervals::{Call, worst_excess_net};
use support::quotas::{Permits, SECOND, cases, magnitude, modest_quota, permits};
use support::threads::{Random, timed};
use support::workers::{Worker, batch, elsewhere, least_divided, stripes};

fn manual(quota: Quota) -> (StripedTokenBucket<ManualClock>, ManualClock) {
    let clock = ManualClock::new();
    (StripedTokenBucket::with_clock(quota, clock.clone()).unwrap(), clock)
}

/// A burst that every machine divides, of which a stripe holds so much.
fn divided(batch: u64) -> u64 {
    16 * stripes() * batch
}

// --- Every interval

/// One thread's share of a trace.
#[derive(Default)]
struct Trace {
    grants: Vec<Call>,
    given_back: Vec<Call>,
    denials: u64,
}

/// Who calls: the bucket itself, or one worker's stock.
enum Caller<'a, C: Clock> {
    Shared(&'a StripedTokenBucket<C>),
    Local(LocalTokenBucket<'a, C>),
}

impl<C: Clock> Caller<'_, C> {
    fn take(&mut self, n: u64) -> Result<(), RateLimitExceeded> {
        match self {
            Self::Shared(bucket) => bucket.try_acquire_n(n),
            Self::Local(local) => local.try_acquire_n(n),
        }
    }
}

/// Threads that take, gather, drop and make locals, and give back for `time`; every third one with a local. Eleven of
/// them, so that two share a stripe on a small machine.
fn stress<C: Clock>(bucket: &StripedTokenBucket<C>, clock: &impl Clock, time: Duration, gives_back: bool) -> Trace {
    const THREADS: u64 = 11;
    const MOST: usize = 25_000;
    let (real, barrier) = (MonotonicClock::new(), Barrier::new(THREADS as usize));
    let traces: Vec<Trace> = thread::scope(|scope| {
        let worker = |seed: u64| {
            let (real, barrier) = (&real, &barrier);
            scope.spawn(move || {
                let (mut trace, mut random) = (Trace::default(), Random::new(seed));
                let caller = || if seed % 3 == 0 { Caller::Local(bucket.local()) } else { Caller::Shared(bucket) };
                let mut own = caller();
                barrier.wait();
                let until = real.now().as_nanos() + time.as_nanos() as u64;
                while real.now().as_nanos() < until && trace.grants.len() < MOST {
                    let random = random.next();
                    let n = match random % 16 {
                        0..12 => 1,
                        12..15 => 1 + (random >> 8) % 64,
                        _ => 1 + (random >> 8) % bucket.capacity(),
                    };
                    let up_to = seed % 3 == 1 && random >> 20 & 7 == 0;
                    let (taken, start, end) = in_time(clock, || match &own {
                        Caller::Shared(bucket) if up_to => bucket.try_acquire_up_to(n),
                        _ => own.take(n).map_or(0, |()| n),
                    });
                    if taken > 0 {
                        trace.grants.push(Call { start, end, permits: taken });
                    } else {
                        trace.denials += 1;
                        if random >> 24 & 63 == 0 {
                            own = caller();
                        }
                        // Only when there is little, so that what is given back has room and counts in full.
                        if gives_back && random >> 32 & 3 == 0 {
                            let ((), start, end) = in_time(clock, || bucket.refund(n.min(8)));
                            trace.given_back.push(Call { start, end, permits: n.min(8) });
                        }
                    }
                }
                trace
            })
        };
        let threads: Vec<_> = (1..=THREADS).map(worker).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    traces.into_iter().fold(Trace::default(), |mut all, one| {
        all.grants.extend(one.grants);
        all.given_back.extend(one.given_back);
        all.denials += one.denials;
        all
    })
}

/// Between two readings of the bucket's own clock; of real time where that is it.
fn in_time<T>(clock: &impl Clock, call: impl FnOnce() -> T) -> (T, u64, u64) {
    let start = clock.now().as_nanos();
    let (result, ..) = timed(call);
    (result, start, clock.now().as_nanos() + 1)
}

fn at_most_the_burst(trace: &Trace, quota: &Quota) {
    let excess = worst_excess_net(&trace.grants, &trace.given_back, quota.permits(), quota.period().as_nanos() as u64);
    let burst = quota.capacity() as f64;
    assert!(excess <= burst * (1.0 + 1e-12), "{quota:?}: {excess} over rate * (T + 1 ns)");
}

/// Kills: stripes whose stock is not carved out of the burst; a loan that is not; a local's stock that is given back twice;
/// a claim that adds to what others have left in the stripe.
#[test]
fn threads_on_the_real_clock() {
    let quotas = [
        Quota::per_second(1_000).burst(divided(4)),
        Quota::per_second(20_000).burst(divided(4) + 17),
        Quota::per_second(1_000_000).burst(divided(30)),
        Quota::per_second(3_000_000_000).burst(divided(100)),
        Quota::per_day(1).burst(divided(8)),
        Quota::per(7, Duration::from_nanos(65_537)).burst(least_divided() - 1),
    ];
    for quota in quotas {
        for gives_back in [false, true] {
            let bucket = StripedTokenBucket::new(quota).unwrap();
            let trace = stress(&bucket, &MonotonicClock::new(), Duration::from_millis(60), gives_back);
            at_most_the_burst(&trace, &quota);
            if quota.rate() < 1e8 {
                let granted: u64 = trace.grants.iter().map(|call| call.permits).sum();
                assert!(granted >= quota.capacity() * 3 / 4, "{quota:?}: not even the burst was granted");
                assert!(trace.denials > 0, "{quota:?}: the limit was never reached, so nothing is proved");
            }
        }
    }
}

/// The same where time goes in leaps, each of which may fill the word while somebody is stopped in a stripe. An interval is as
/// long as the readings around it are apart.
#[test]
fn threads_on_a_clock_that_leaps() {
    for leap in [Duration::from_micros(40), Duration::from_millis(3), Duration::from_secs(1)] {
        let quota = Quota::per_second(100_000).burst(divided(6));
        let (bucket, clock) = manual(quota);
        let leaping = clock.clone();
        let trace = thread::scope(|scope| {
            let time = scope.spawn(move || {
                for _ in 0..120 {
                    thread::sleep(Duration::from_micros(500));
                    leaping.advance(leap);
                }
            });
            let trace = stress(&bucket, &clock, Duration::from_millis(80), false);
            time.join().unwrap();
            trace
        });
        at_most_the_burst(&trace, &quota);
        assert!(!trace.grants.is_empty());
    }
}

// --- Stopped between two instructions

/// Takes all there is, and fills only the word: a second is more than it needs.
fn only_the_word(bucket: &StripedTokenBucket<Arc<Stopped<'_>>>, clock: &Stopped<'_>) {
    let _ = bucket.try_acquire_up_to(u64::MAX);
    clock.time.advance(Duration::from_secs(1));
}

/// Runs what must not hang on a thread of its own, which is left behind if it does.
fn within_seconds<T: Send + 'static>(what: &str, call: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, is_done) = mpsc::channel();
    let running = thread::spawn(move || done.send(call()));
    match is_done.recv_timeout(Duration::from_secs(5)) {
        Ok(result) => result,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("{what}: hangs"),
        Err(mpsc::RecvTimeoutError::Disconnected) => panic!("{what}: {:?}", running.join().map(drop)),
    }
}

/// A call is stopped after a reading of the clock; meanwhile others fill all stripes that they can, and the word is full
/// again. What is there at that instant is one burst.
///
/// Kills: a stripe that is claimed only behind the reading; a deposit without a claim.
#[test]
fn a_drawer_stopped_after_a_reading_brings_no_batch_above_the_burst() {
    let burst = divided(50);
    let stopped_after = move |reading| {
        let clock = Arc::new(Stopped::default());
        clock.time.set(Nanos::from_nanos(SECOND));
        let bucket = Arc::new(StripedTokenBucket::with_clock(Quota::per_second(burst), Arc::clone(&clock)).unwrap());
        only_the_word(&bucket, &clock);
        let (others, time) = (Arc::clone(&bucket), clock.time.clone());
        clock.after_reading(reading, move || {
            thread::scope(|scope| {
                let others = &*others;
                let workers = Worker::start_many(scope, 3 * stripes() as usize);
                assert!(workers.iter().all(|worker| worker.call(|| others.try_acquire()) == Ok(())));
            });
            time.advance(Duration::from_secs(10));
        });
        assert_eq!(bucket.try_acquire(), Ok(()));
        clock.was_stopped().then(|| bucket.try_acquire_up_to(u64::MAX))
    };
    let there: Vec<_> =
        (1..=4).filter_map(|reading| within_seconds("others", move || stopped_after(reading))).collect();
    assert!(there.iter().all(|&there| there <= burst), "{there:?} of {burst}");
    assert!(there.len() >= 2, "the clock is read less often than thought");
}

/// One that is stopped while it fills a stripe delays nobody, not even who has the same stripe: they take from the word.
///
/// Kills: others who go round until the stripe is free.
#[test]
fn a_drawer_that_is_stopped_delays_nobody() {
    let stopped_after = move |reading| {
        let clock = Arc::new(Stopped::default());
        clock.time.set(Nanos::from_nanos(SECOND));
        let quota = Quota::per_second(divided(50));
        let bucket = Arc::new(StripedTokenBucket::with_clock(quota, Arc::clone(&clock)).unwrap());
        only_the_word(&bucket, &clock);
        let others = Arc::clone(&bucket);
        clock.after_reading(reading, move || {
            // On the same thread, hence from the same stripe.
            let outcome = (others.try_acquire(), others.try_acquire_n(2), others.try_acquire_up_to(3));
            assert_eq!(outcome, (Ok(()), Ok(()), 3), "stopped after reading {reading}");
        });
        assert_eq!(bucket.try_acquire(), Ok(()));
        clock.was_stopped()
    };
    let stops = (1..=4).filter(|&reading| within_seconds("the same stripe", move || stopped_after(reading))).count();
    assert!(stops >= 2, "the clock is read less often than thought");
}

// --- Hoarding

/// All stripes full, the word full, then everything at once, by any verb and from anywhere: exactly the burst. Twice, since the
/// first time nothing was drawn yet.
///
/// Kills: stripes whose stock is not carved out of the burst; a deposit that is a batch whatever was left in the stripe.
#[test]
fn all_that_was_hoarded_is_one_burst() {
    for burst in [divided(4), divided(5) + 16, divided(1_000), 1_000_003] {
        let (bucket, clock) = manual(Quota::per_second(burst));
        thread::scope(|scope| {
            let workers = Worker::start_many(scope, 4 * stripes() as usize);
            let bucket = &bucket;
            for round in 0..3 {
                assert_eq!(bucket.available(), burst - u64::from(round > 0), "round {round}");
                let gathered = workers[round].call(|| bucket.try_acquire_up_to(u64::MAX));
                assert_eq!(gathered, burst - u64::from(round > 0), "round {round}");
                assert_eq!(workers.iter().map(|worker| worker.call(|| bucket.try_acquire_up_to(9))).sum::<u64>(), 0);

                clock.advance(Duration::from_secs(1));
                // Every stripe is somebody's own, and is filled by its first call; the rest comes back.
                let most = workers.iter().filter(|worker| worker.call(|| bucket.try_acquire()).is_ok()).count();
                assert_eq!(most, workers.len());
                clock.advance(Duration::from_secs(10));
                // To where only one of all is missing: in one of the stripes.
                let mut missing = burst - bucket.available();
                for worker in &workers {
                    let give = missing.saturating_sub(1);
                    worker.call(move || bucket.refund(give));
                    missing = burst - bucket.available();
                }
            }
        });
    }
}

/// The same with locals that are full, too, made one after the other: as many as find something to hold.
///
/// Kills: a loan that is not carved out of the burst; the stock of a local that is dropped given back twice.
#[test]
fn all_that_locals_hoarded_is_in_the_burst() {
    let burst = divided(40);
    let (bucket, clock) = manual(Quota::per_second(burst));
    let mut locals: Vec<_> = (0..10 * stripes()).map(|_| bucket.local()).collect();
    assert_eq!(bucket.capacity(), burst * 3 / 4);
    for _ in 0..3 {
        // One permit each, drawn with a stock.
        assert!(locals.iter_mut().all(|local| local.try_acquire().is_ok()));
        clock.advance(Duration::from_secs(10));
        let mut all = bucket.try_acquire_up_to(u64::MAX);
        all += locals
            .iter_mut()
            .map(|local| (0..).take_while(|_| local.try_acquire().is_ok()).count() as u64)
            .sum::<u64>();
        assert!(all <= burst, "{all} of {burst}");
        assert!(all >= burst * 15 / 16, "{all} of {burst}: what the stripes have lent is empty, and nothing else");
        clock.advance(Duration::from_secs(10));
    }
    drop(locals);
    clock.advance(Duration::from_secs(10));
    assert_eq!(bucket.capacity(), burst - burst / 16);
    assert_eq!(bucket.available(), burst - burst / 16);
}

// --- What it costs

/// Of every burst a single call gets 15/16, and 3/4 with as many locals as one likes; the word holds what it says.
///
/// Kills: a budget above a sixteenth; loans above a quarter; a capacity that is the burst.
#[test]
fn one_call_gets_most_of_the_burst() {
    let bursts =
        (0..38).map(|bit| 1_u64 << bit).chain([3, 511, 513, 1_000, least_divided() - 1, divided(7) + 5, 999_999_937]);
    for burst in bursts {
        let quota = Quota::per_second(1_000).burst(burst);
        let (bucket, clock) = manual(quota);
        let capacity = bucket.capacity();
        assert_eq!(capacity, burst - stripes() * batch(burst));
        assert!(capacity >= burst - burst / 16, "{capacity} of {burst}");
        assert_eq!(bucket.try_acquire_n(capacity), Ok(()));
        let exceeds = RateLimitExceeded::ExceedsCapacity { requested: capacity + 1, capacity };
        assert_eq!(bucket.try_acquire_n(capacity + 1), Err(exceeds));
        assert_eq!(bucket.time_to_available(capacity + 1), Err(exceeds));

        let (bucket, _) = (manual(quota).0, clock);
        let locals: Vec<_> = (0..5 * stripes()).map(|_| bucket.local()).collect();
        let capacity = bucket.capacity();
        assert!(
            capacity >= burst - burst / 4 && capacity <= burst - 4 * stripes() * batch(burst),
            "{capacity} of {burst}"
        );
        assert_eq!(bucket.try_acquire_n(capacity), Ok(()), "of {burst}");
        assert!(bucket.try_acquire_n(capacity + 1).is_err());
        drop(locals);
        assert_eq!(bucket.capacity(), burst - stripes() * batch(burst));
    }
}

// --- As TokenBucket does

type Step = (u64, u8, Permits);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let ahead = prop_oneof![2 => Just(0), 4 => magnitude(34), 1 => magnitude(50)];
    prop::collection::vec((ahead, 0_u8..8, permits()), 1..60)
}

proptest! {
    #![proptest_config(cases(1_500))]

    /// A burst too small to be divided: every answer is the plain bucket's, those of locals too.
    ///
    /// Kills: a least batch of 3; a refund that fills a stripe.
    #[test]
    fn a_small_burst_decides_as_a_token_bucket_does(
        quota in modest_quota(), burst in 1..least_divided(), initial in any::<prop::sample::Index>(), steps in steps(),
    ) {
        let (quota, initial) = (quota.burst(burst), initial.index(burst as usize + 1) as u64);
        let clock = ManualClock::new();
        let plain = TokenBucket::builder(quota).clock(clock.clone()).initial(initial).build().unwrap();
        let striped = StripedTokenBucket::builder(quota).clock(clock.clone()).initial(initial).build().unwrap();
        let mut local = striped.local();
        prop_assert_eq!(striped.capacity(), burst);
        for (ahead, verb, permits) in steps {
            clock.advance(Duration::from_nanos(ahead));
            let n = permits.of(plain.quota().capacity());
            match verb {
                0 | 1 => prop_assert_eq!(striped.try_acquire_n(n), plain.try_acquire_n(n)),
                2 => prop_assert_eq!(local.try_acquire_n(n), plain.try_acquire_n(n)),
                3 => prop_assert_eq!(striped.try_acquire_up_to(n), plain.try_acquire_up_to(n)),
                4 => { striped.refund(n); plain.refund(n) }
                5 => prop_assert_eq!(striped.try_acquire(), plain.try_acquire()),
                6 => prop_assert_eq!(local.try_acquire(), plain.try_acquire()),
                _ => {
                    let next = Quota::per_second(n.clamp(1, 1_000_000)).burst(1 + n % (least_divided() - 1));
                    striped.set_quota(next).unwrap();
                    plain.set_quota(next).unwrap();
                }
            }
            prop_assert_eq!(striped.available(), plain.available());
            prop_assert_eq!(striped.time_to_available(n), plain.time_to_available(n));
            prop_assert_eq!(striped.quota(), plain.quota());
        }
    }

    /// A larger one, by one caller, never grants more than a bucket of the whole burst, nor less than one of what the word
    /// holds: what was granted until then lies between, whatever the calls were.
    ///
    /// Kills: a batch that is taken from the word and lost; stripes whose stock is not carved out of the burst; a call that
    /// is denied while another stripe has a permit.
    #[test]
    fn one_caller_gets_what_two_plain_buckets_enclose(
        quota in modest_quota(), size in 4_u64..200, odd in 0_u64..100, ahead in prop::collection::vec(magnitude(36), 1..80),
        most in 1_u64..40,
    ) {
        let quota = quota.burst(divided(size) + odd);
        let (striped, clock) = manual(quota);
        let whole = TokenBucket::with_clock(quota, clock.clone()).unwrap();
        let word = TokenBucket::with_clock(quota.burst(striped.capacity()), clock.clone()).unwrap();
        let _ = (whole.available(), word.available(), striped.available());
        let mut granted = [0_u64; 3];
        for (turn, ahead) in ahead.into_iter().enumerate() {
            clock.advance(Duration::from_nanos(ahead));
            // Greedy, in pieces: so that who has more has been granted more.
            let n = 1 + turn as u64 % most;
            let greedy = |take: &dyn Fn() -> u64| (0..2_000).map(|_| take()).take_while(|&taken| taken > 0).sum::<u64>();
            granted[0] += greedy(&|| word.try_acquire_up_to(n));
            granted[1] += greedy(&|| striped.try_acquire_up_to(n));
            granted[2] += greedy(&|| whole.try_acquire_up_to(n));
            prop_assert!(granted[0] <= granted[1] && granted[1] <= granted[2], "{:?}", granted);
        }
    }

    /// The same of calls for all or nothing: each one is granted if the word's burst has it and denied if the whole one has
    /// not, when both have given what the striped one has.
    #[test]
    fn every_decision_lies_between_those_of_two_plain_buckets(
        quota in modest_quota(), size in 4_u64..200, odd in 0_u64..100, steps in steps(),
    ) {
        let quota = quota.burst(divided(size) + odd);
        let (striped, clock) = manual(quota);
        let whole = TokenBucket::with_clock(quota, clock.clone()).unwrap();
        let word = TokenBucket::with_clock(quota.burst(striped.capacity()), clock.clone()).unwrap();
        let _ = (whole.available(), word.available(), striped.available());
        for (ahead, verb, permits) in steps {
            clock.advance(Duration::from_nanos(ahead));
            let n = permits.of(striped.capacity()).min(striped.capacity());
            let call = || if verb < 6 { striped.try_acquire_n(n) } else { elsewhere(|| striped.try_acquire_n(n)) };
            let (most, least) = (whole.available(), word.available());
            match call() {
                Ok(()) => {
                    prop_assert!(n <= most, "{} of at most {}", n, most);
                    prop_assert_eq!(whole.charge(n), n);
                    prop_assert_eq!(word.charge(n), n);
                }
                Err(error) => {
                    prop_assert!(n > least, "{} of at least {}: {}", n, least, error);
                    let wait = error.retry_after().unwrap();
                    prop_assert!(wait >= whole.time_to_available(n).unwrap());
                    prop_assert!(wait <= word.time_to_available(n).unwrap());
                }
            }
            prop_assert!((word.available()..=whole.available()).contains(&striped.available()));
        }
    }
}
