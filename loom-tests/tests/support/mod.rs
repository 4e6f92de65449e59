//! What every model needs: a bounded run that says how much it explored, and a clock that moves inside the model.

#![allow(dead_code, unreachable_pub, missing_docs)]

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use sluicegate_loom::{Clock, Nanos, Quota, TokenBucket};

/// Runs `f` under every schedule with at most `preemptions` forced switches (LOOM_MAX_PREEMPTIONS widens that), and
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
    builder.max_duration = Some(std::time::Duration::from_secs(15));
    builder.max_duration = Some(std::time::Duration::from_secs(15));
    builder.check(move || {
        EXECUTIONS.fetch_add(1, Relaxed);
        f();
    });
    println!("{name}: {} executions in {:.1?}", EXECUTIONS.load(Relaxed), started.elapsed());
}

/// A clock that threads of the model move.
#[derive(Clone, Debug)]
pub struct ModelClock(Arc<AtomicU64>);

impl ModelClock {
    pub fn advance(&self, nanos: u64) {
        self.0.fetch_add(nanos, Ordering::AcqRel);
    }
}

impl Clock for ModelClock {
    fn now(&self) -> Nanos {
        Nanos::from_nanos(self.0.load(Ordering::Acquire))
    }
}

/// A bucket that has started, and its clock.
pub fn bucket(quota: Quota) -> (Arc<TokenBucket<ModelClock>>, ModelClock) {
    let (bucket, clock) = unstarted(quota);
    let _ = bucket.available();
    (bucket, clock)
}

/// A bucket that nobody has called yet, and its clock.
pub fn unstarted(quota: Quota) -> (Arc<TokenBucket<ModelClock>>, ModelClock) {
    let clock = ModelClock(Arc::new(AtomicU64::new(0)));
    let bucket = TokenBucket::with_clock(quota, clock.clone()).expect("a valid quota");
    (Arc::new(bucket), clock)
}
