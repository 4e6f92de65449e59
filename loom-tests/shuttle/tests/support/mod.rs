//! What every test here needs: runs under two schedulers, and a clock that the threads of a run move.

#![allow(dead_code, unreachable_pub)]

use std::sync::atomic::{AtomicU64 as Count, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::sync::atomic::{AtomicU64, Ordering};
use shuttle::{Config, Runner};
use sluicegate_shuttle::{Clock, Nanos};

/// Runs `run` so many times under each of two schedulers (`SHUTTLE_RUNS` widens it, `SHUTTLE_SEED` varies it), and adds up
/// what it counts.
pub fn explore(runs: u64, run: impl Fn() -> u64 + Clone + Send + Sync + 'static) -> u64 {
    let (runs, seed) = (from_env("SHUTTLE_RUNS", runs) as usize, from_env("SHUTTLE_SEED", 4));
    // The first stops threads rarely, and for long; the second often.
    explore_by(PctScheduler::new_from_seed(seed, 4, runs), run.clone())
        + explore_by(RandomScheduler::new_from_seed(seed, runs), run)
}

fn explore_by(scheduler: impl Scheduler + 'static, run: impl Fn() -> u64 + Send + Sync + 'static) -> u64 {
    let total = Arc::new(Count::new(0));
    let mut config = Config::new();
    config.stack_size = 1 << 17;
    // Of weak memory: that is for loom.
    config.silence_warnings = true;
    let counted = Arc::clone(&total);
    Runner::new(scheduler, config).run(move || {
        counted.fetch_add(run(), Relaxed);
    });
    total.load(Relaxed)
}

fn from_env(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// A clock that the threads of a run move, and all that it ever showed.
#[derive(Clone, Debug)]
pub struct ModelClock {
    nanos: Arc<AtomicU64>,
    shown: Arc<Mutex<Vec<u64>>>,
}

impl ModelClock {
    pub fn at(nanos: u64) -> Self {
        Self { nanos: Arc::new(AtomicU64::new(nanos)), shown: Arc::new(Mutex::new(vec![nanos])) }
    }

    pub fn set(&self, nanos: u64) {
        self.nanos.store(nanos, Ordering::SeqCst);
        self.with_shown(|shown| shown.push(nanos));
    }

    pub fn advance(&self, nanos: u64) {
        let before = self.nanos.fetch_add(nanos, Ordering::SeqCst);
        self.with_shown(|shown| shown.push(before + nanos));
    }

    pub fn step_back(&self, nanos: u64) {
        let before = self.nanos.fetch_sub(nanos, Ordering::SeqCst);
        self.with_shown(|shown| shown.push(before - nanos));
    }

    pub fn with_shown<T>(&self, op: impl FnOnce(&mut Vec<u64>) -> T) -> T {
        op(&mut self.shown.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Clock for ModelClock {
    fn now(&self) -> Nanos {
        Nanos::from_nanos(self.nanos.load(Ordering::SeqCst))
    }
}
