//! What every model needs: a bounded run that says how much it explored, and a clock that moves inside the model.

#![allow(dead_code, unreachable_pub, missing_docs)]

pub mod keys;
pub mod stock;
pub mod waiting;

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;
use sluicegate_loom::{Clock, Nanos, Quota, TokenBucket};

/// Runs `f` under every schedule with at most `preemptions` forced switches (`LOOM_MAX_PREEMPTIONS` widens that), and
/// every value that a load may see. A loop that never ends, such as that of an exchange that always fails, is an
/// error after so many steps.
pub fn model(name: &str, preemptions: usize, f: impl Fn() + Send + Sync + 'static) {
    static EXECUTIONS: AtomicUsize = AtomicUsize::new(0);
    // Models of one binary run one after the other, so that this counter is of one model.
    static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(|poisoned| poisoned.into_inner());

    let started = Instant::now();
    EXECUTIONS.store(0, Relaxed);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(preemptions));
    builder.max_branches = 5_000;

    builder.check(move || {
        EXECUTIONS.fetch_add(1, Relaxed);
        f();
    });
    println!("{name}: {} executions in {:.1?}", EXECUTIONS.load(Relaxed), started.elapsed());
}

/// What the threads of a model share: a limiter and its clock.
pub type Shared<L = TokenBucket<ModelClock>> = (Arc<L>, ModelClock);

/// Races `a` with `b` on what `setup` makes, and gives both results to `check` afterwards.
///
/// Twice, the second time with the threads swapped: loom's partial-order reduction remembers one access of each
/// location, so a thread that reads a location before it writes it hides that another one read it earlier.
pub fn race<L: Send + Sync + 'static, A: 'static, B: 'static>(
    name: &'static str,
    preemptions: usize,
    setup: fn() -> Shared<L>,
    a: fn(&L, &ModelClock) -> A,
    b: fn(&L, &ModelClock) -> B,
    check: fn(&L, &ModelClock, A, B),
) {
    race_in_order(name, preemptions, setup, a, b, check);
    race_in_order(name, preemptions, setup, b, a, move |limiter, clock, b, a| check(limiter, clock, a, b));
}

/// The same once, `a` in the thread that runs first: for what has too many executions the other way round, because
/// `a` could see a mixture of all the values that several changes left behind.
pub fn race_in_order<L: Send + Sync + 'static, A: 'static, B: 'static>(
    name: &'static str,
    preemptions: usize,
    setup: fn() -> Shared<L>,
    a: fn(&L, &ModelClock) -> A,
    b: fn(&L, &ModelClock) -> B,
    check: impl Fn(&L, &ModelClock, A, B) + Send + Sync + 'static,
) {
    model(name, preemptions, move || {
        let (limiter, clock) = setup();
        let (other, there_clock) = (limiter.clone(), clock.clone());
        let there = thread::spawn(move || b(&other, &there_clock));
        let here = a(&limiter, &clock);
        let there = there.join().unwrap();
        check(&limiter, &clock, here, there);
    });
}

/// A clock that threads of the model move.
#[derive(Clone, Debug)]
pub struct ModelClock(Arc<AtomicU64>, Option<Arc<AtomicU64>>);

impl ModelClock {
    pub fn at(nanos: u64) -> Self {
        Self(Arc::new(AtomicU64::new(nanos)), None)
    }

    /// One that loom takes for written by each reading, so that it has the readings, and with them the calls, in every
    /// order; it still shows what another one would.
    pub fn meeting_at(nanos: u64) -> Self {
        Self(Arc::new(AtomicU64::new(nanos)), Some(Arc::new(AtomicU64::new(0))))
    }

    pub fn advance(&self, nanos: u64) {
        self.0.fetch_add(nanos, Ordering::AcqRel);
    }

    pub fn step_back(&self, nanos: u64) {
        self.0.fetch_sub(nanos, Ordering::AcqRel);
    }
}

impl Clock for ModelClock {
    fn now(&self) -> Nanos {
        if let Some(meetings) = &self.1 {
            meetings.fetch_add(1, Ordering::Relaxed);
        }
        Nanos::from_nanos(self.0.load(Ordering::Acquire))
    }
}

/// A bucket that has started, and its clock.
pub fn bucket(quota: Quota) -> Shared {
    let (bucket, clock) = unstarted(quota);
    let _ = bucket.available();
    (bucket, clock)
}

/// A bucket that has started, and of which all permits are taken, and its clock.
pub fn drained(quota: Quota) -> Shared {
    let (bucket, clock) = bucket(quota);
    assert!(bucket.try_acquire_n(quota.capacity()).is_ok());
    (bucket, clock)
}

/// A bucket that nobody has called yet, and its clock.
pub fn unstarted(quota: Quota) -> Shared {
    let clock = ModelClock::at(0);
    let bucket = TokenBucket::with_clock(quota, clock.clone()).expect("a valid quota");
    (Arc::new(bucket), clock)
}
