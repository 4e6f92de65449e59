//! G1: over every interval, what is granted less what is given back is at most burst + rate * (T + 1 ns) + debt
//! taken on within it. Proved by looking at all intervals of recorded traces: of threads on the real clock, and of
//! one caller on a clock that jumps about at will. The nanosecond is the one that a decision may be early by: two where
//! the burst takes more than 18 years to fill.

mod support;

use std::sync::{Arc, Barrier};
use std::time::Duration;

use proptest::prelude::*;
use sluicegate::{Clock, CoarseClock, ManualClock, MonotonicClock, Nanos, Quota, TokenBucket};
use support::clocks::Stopped;
use support::intervals::{Call, worst_excess, worst_excess_net};
use support::quotas::{SECOND, UNIX_NOW, any_quota, cases, magnitude, permits, tolerance_after};
use support::threads::{Random, timed};

/// One thread's share of a trace.
#[derive(Default)]
struct Trace {
    grants: Vec<Call>,
    given_back: Vec<Call>,
    charges: Vec<Call>,
    denials: u64,
    /// The largest known age of a clock reading that a grant may have used.
    staleness: u64,
}

impl Trace {
    fn join(mut self, other: Self) -> Self {
        self.grants.extend(other.grants);
        self.given_back.extend(other.given_back);
        self.charges.extend(other.charges);
        Self { denials: self.denials + other.denials, staleness: self.staleness.max(other.staleness), ..self }
    }
}

/// Four threads that repeat `step` for `time`, or until they were granted much. The number they are given is a new
/// random one at each step.
fn stress<C: Clock>(
    bucket: &TokenBucket<C>,
    time: Duration,
    step: impl Fn(&TokenBucket<C>, u64, &mut Trace) + Sync,
) -> Trace {
    const MOST: usize = 50_000;
    let (clock, barrier) = (MonotonicClock::new(), Barrier::new(4));
    std::thread::scope(|scope| {
        let worker = |seed: u64| {
            let (clock, barrier, step) = (&clock, &barrier, &step);
            scope.spawn(move || {
                let (mut trace, mut random) = (Trace::default(), Random::new(seed));
                barrier.wait();
                let until = clock.now().as_nanos() + time.as_nanos() as u64;
                while clock.now().as_nanos() < until && trace.grants.len() < MOST {
                    step(bucket, random.next(), &mut trace);
                }
                trace
            })
        };
        let threads: Vec<_> = (1..=4).map(worker).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).fold(Trace::default(), Trace::join)
    })
}

fn acquire<C: Clock>(bucket: &TokenBucket<C>, permits: u64, trace: &mut Trace) -> bool {
    let (result, start, end) = timed(|| bucket.try_acquire_n(permits));
    match result {
        Ok(()) => trace.grants.push(Call { start, end, permits }),
        Err(_) => trace.denials += 1,
    }
    result.is_ok()
}

fn excess(calls: &[Call], given_back: &[Call], quota: &Quota) -> f64 {
    worst_excess_net(calls, given_back, quota.permits(), quota.period().as_nanos() as u64)
}

/// What the conversion of an exact excess to `f64` may add.
fn at_most(excess: f64, bound: u64, quota: &Quota) {
    let bound = bound as f64;
    assert!(excess <= bound + bound * 1e-12, "{quota:?}: {excess} over rate * (T + 1 ns), {bound} allowed");
}

#[test]
fn threads_on_the_real_clock() {
    let millis = Duration::from_millis(120);
    let quotas = [
        Quota::per(1, Duration::from_secs(3)).burst(5),
        Quota::per_second(10).burst(1),
        Quota::per_second(1_000).burst(1),
        Quota::per_second(1_000).burst(100),
        Quota::per(7, Duration::from_nanos(65_537)).burst(3),
        Quota::per_second(1_000_000).burst(1),
        Quota::per_second(20_000_000).burst(1_000),
        Quota::per_second(4_000_000_000).burst(1),
        Quota::per_day(1).burst(20_000),
    ];
    for quota in quotas {
        let bucket = TokenBucket::new(quota).unwrap();
        let trace = stress(&bucket, millis, |bucket, random, trace| {
            let most = bucket.quota().capacity().min(4);
            acquire(bucket, 1 + random % most, trace);
        });
        at_most(excess(&trace.grants, &[], &quota), quota.capacity(), &quota);
        let granted: u64 = trace.grants.iter().map(|call| call.permits).sum();
        assert!(granted >= quota.capacity(), "{quota:?}: not even the burst was granted");
        if quota.rate() <= 1e6 {
            assert!(trace.denials > 0, "{quota:?}: the limit was never reached, so nothing is proved");
        }
    }
}

#[test]
fn threads_that_give_back() {
    for quota in [Quota::per_second(1_000).burst(10), Quota::per_day(1).burst(7), Quota::per_second(300_000).burst(64)]
    {
        let bucket = TokenBucket::new(quota).unwrap();
        let trace = stress(&bucket, Duration::from_millis(150), |bucket, random, trace| {
            if acquire(bucket, 1 + random % 3, trace) {
                return;
            }
            // Only when the bucket is low, so that what is given back has room and counts in full.
            let permits = (random >> 32) % 4;
            if permits > 0 {
                let ((), start, end) = timed(|| bucket.refund(permits));
                trace.given_back.push(Call { start, end, permits });
            }
        });
        at_most(excess(&trace.grants, &trace.given_back, &quota), quota.capacity(), &quota);
        assert!(trace.given_back.len() > 100 && trace.denials > 0, "{quota:?}: nothing was given back");
    }
}

/// With everything charged counted, debt included, no interval sees more than two bursts; without the charges, no
/// more than one, since debt is repaid before anything is granted.
#[test]
fn threads_that_charge() {
    for quota in [Quota::per_second(1_000).burst(10), Quota::per(1, Duration::from_micros(3)).burst(64)] {
        let bucket = TokenBucket::new(quota).unwrap();
        let trace = stress(&bucket, Duration::from_millis(150), |bucket, random, trace| {
            if random % 64 == 0 {
                let (permits, start, end) = timed(|| bucket.charge(1 + (random >> 32) % 12));
                trace.charges.push(Call { start, end, permits });
            } else {
                acquire(bucket, 1 + random % 3, trace);
            }
        });
        at_most(excess(&trace.grants, &[], &quota), quota.capacity(), &quota);
        let all = [&trace.grants[..], &trace.charges].concat();
        at_most(excess(&all, &[], &quota), 2 * quota.capacity(), &quota);
        assert!(trace.charges.len() > 100 && trace.denials > 0);
    }
}

/// The bound loosens to rate * (T + s) for readings that are `s` old, and no further.
#[test]
fn threads_on_a_coarse_clock() {
    let coarse = CoarseClock::start(Duration::from_millis(2)).unwrap();
    for quota in [Quota::per_second(1_000).burst(1), Quota::per_second(200_000).burst(20)] {
        let bucket = TokenBucket::with_clock(quota, coarse.clone()).unwrap();
        let trace = stress(&bucket, Duration::from_millis(200), |bucket, random, trace| {
            // The bucket's own reading is no older than this one.
            let reading = coarse.now().as_nanos();
            if acquire(bucket, 1 + random % bucket.quota().capacity().min(2), trace) {
                let start = trace.grants[trace.grants.len() - 1].start;
                trace.staleness = trace.staleness.max(start.saturating_sub(reading));
            }
        });
        let stale = trace.staleness as f64 / 1e9 * quota.rate();
        let excess = worst_excess(&trace.grants, quota.permits(), SECOND);
        assert!(excess <= (quota.capacity() as f64 + stale) * (1.0 + 1e-12), "{quota:?}: {excess}, stale {stale}");
        assert!(trace.denials > 0 && trace.staleness > 0);
    }
}

/// A call is stopped for half a second after its first, second or third reading of the clock, and meanwhile another one
/// takes all there is. Then nothing is there, whatever the stopped call goes on to do with its old reading: also where
/// it is the bucket's first one, whose reading is the beginning of time.
#[test]
fn a_call_stopped_after_a_reading_recredits_no_time() {
    type Call = for<'a, 'b> fn(&'b TokenBucket<Arc<Stopped<'a>>>);
    let calls: [(&str, Call); 6] = [
        ("try_acquire_n", |bucket| _ = bucket.try_acquire_n(3)),
        ("try_acquire_up_to", |bucket| _ = bucket.try_acquire_up_to(3)),
        ("available", |bucket| _ = bucket.available()),
        ("time_to_available", |bucket| _ = bucket.time_to_available(10)),
        ("refund", |bucket| bucket.refund(0)),
        ("set_quota", |bucket| bucket.set_quota(Quota::per_second(10)).unwrap()),
    ];
    let mut stops = 0;
    for (name, call) in calls {
        for (first, reading) in [(true, 1), (true, 2), (true, 3), (false, 1)] {
            let clock = Arc::new(Stopped::default());
            clock.time.set(Nanos::from_nanos(SECOND));
            let bucket = Arc::new(TokenBucket::with_clock(Quota::per_second(10), Arc::clone(&clock)).unwrap());
            if !first {
                assert_eq!(bucket.available(), 10);
            }
            let (other, time) = (Arc::clone(&bucket), clock.time.clone());
            clock.after_reading(reading, move || {
                time.advance(Duration::from_millis(500));
                assert_eq!(other.try_acquire_n(10), Ok(()));
            });
            call(&bucket);
            if clock.was_stopped() {
                stops += 1;
                assert_eq!(bucket.try_acquire_up_to(10), 0, "{name}, stopped after reading {reading}, first: {first}");
            }
        }
    }
    assert!(stops >= 18, "only {stops}: the clock is read less often than thought");
}

#[derive(Clone, Copy, Debug)]
enum Move {
    Stay,
    Forward(u64),
    Back(u64),
    /// To the reading so many steps ago.
    Again(usize),
    To(u64),
}

#[derive(Clone, Copy, Debug)]
enum Verb {
    Take,
    UpTo,
    Refund,
    Charge,
}

fn moves() -> impl Strategy<Value = Move> {
    prop_oneof![
        6 => Just(Move::Stay),
        8 => magnitude(34).prop_map(Move::Forward),
        1 => magnitude(59).prop_map(Move::Forward),
        4 => magnitude(34).prop_map(Move::Back),
        1 => magnitude(62).prop_map(Move::Back),
        4 => (1_usize..20).prop_map(Move::Again),
        1 => prop_oneof![Just(0), Just(u64::MAX), Just(UNIX_NOW), any::<u64>()].prop_map(Move::To),
    ]
}

fn verbs() -> impl Strategy<Value = Verb> {
    prop_oneof![6 => Just(Verb::Take), 3 => Just(Verb::UpTo), 2 => Just(Verb::Refund), 1 => Just(Verb::Charge)]
}

/// One call of a trace: the reading, and what it took, gave back, and took on as debt, at the most.
#[derive(Clone, Copy, Debug)]
struct Event {
    reading: u64,
    taken: i128,
    given_back: i128,
    debt: i128,
    /// A grant, after which nothing is owed.
    grant: bool,
}

fn run(bucket: &TokenBucket<ManualClock>, verb: Verb, n: u64, reading: u64) -> Event {
    let (capacity, before) = (bucket.quota().capacity(), bucket.available());
    let (mut taken, mut given_back, mut debt, mut grant) = (0, 0, 0, false);
    match verb {
        Verb::Take => {
            taken = if bucket.try_acquire_n(n).is_ok() { n } else { 0 };
            grant = taken > 0;
        }
        Verb::UpTo => {
            taken = bucket.try_acquire_up_to(n);
            grant = taken > 0;
        }
        Verb::Refund => {
            bucket.refund(n);
            given_back = if before > 0 { n.min(capacity - before) } else { n };
        }
        Verb::Charge => {
            taken = bucket.charge(n);
            debt = taken.saturating_sub(before);
        }
    }
    Event { reading, taken: taken.into(), given_back: given_back.into(), debt: debt.into(), grant }
}

proptest! {
    #![proptest_config(cases(5_000))]

    /// Time is what the readings say: an interval of the trace is as long as its readings are apart at most, however
    /// they are ordered.
    #[test]
    fn one_caller_on_a_clock_that_jumps(
        quota in any_quota(),
        origin in prop_oneof![Just(0), Just(UNIX_NOW), magnitude(63)],
        steps in prop::collection::vec((moves(), verbs(), permits()), 1..70),
    ) {
        let clock = ManualClock::new();
        let bucket = TokenBucket::with_clock(quota, clock.clone()).unwrap();
        let mut readings = vec![origin];
        let mut events = Vec::new();
        for (step, verb, permits) in steps {
            let last = readings[readings.len() - 1];
            let reading = match step {
                Move::Stay => last,
                Move::Forward(by) => last.saturating_add(by),
                Move::Back(by) => last.saturating_sub(by),
                Move::Again(ago) => readings[readings.len().saturating_sub(ago)],
                Move::To(reading) => reading,
            };
            readings.push(reading);
            clock.set(Nanos::from_nanos(reading));
            events.push(run(&bucket, verb, permits.of(quota.capacity()), reading));
        }

        let (permits, period) = (i128::from(quota.permits()), quota.period().as_nanos() as i128);
        for first in 0..events.len() {
            let (mut low, mut high, mut net, mut debt) = (u64::MAX, 0, 0, 0);
            for event in &events[first..] {
                low = low.min(event.reading);
                high = high.max(event.reading);
                net += event.taken - event.given_back;
                debt += event.debt;
                let time = i128::from(high - low) + i128::from(tolerance_after(&quota, high - low));
                let allowed = i128::from(quota.capacity()) * period + permits * time;
                prop_assert!(net * period <= allowed + debt * period, "from {}, {:?}: {} taken", first, event, net);
                // A grant leaves no debt, so debt taken on before it excuses nothing.
                if event.grant {
                    prop_assert!(net * period <= allowed, "from {}, {:?}: {} taken", first, event, net);
                }
            }
        }
    }
}
