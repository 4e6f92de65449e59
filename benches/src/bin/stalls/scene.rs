//! One measurement: a limiter with hot and idle keys, its callers, and who sweeps.

use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::thread;

use clap::ValueEnum;
use crossbeam_utils::CachePadded;
use governor::DefaultKeyedRateLimiter;
use sluicegate::{Clock, MonotonicClock, PerKeyRateLimiter};
use sluicegate_benches::harness::{SpinBarrier, cores, pin};
use sluicegate_benches::histogram::Histogram;
use sluicegate_benches::mutex_keyed::MutexKeyed;
use sluicegate_benches::mutex_sharded::ShardedKeyed;
use sluicegate_benches::subjects::keyed::{DEBT, Keyed};

/// So many keys are called for. They owe, so that no sweep drops them.
pub(crate) const HOT: u32 = 64;

/// What becomes of the idle keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scene {
    /// Nobody sweeps them: what the machine alone does to the slowest calls.
    Still,
    /// They owe and stay; as soon as a pass is over the next one begins.
    Kept,
    /// Their buckets are full: one pass drops them all, and is measured from its begin to its end.
    Dropped,
}

impl Scene {
    pub(crate) const ALL: [Self; 3] = [Self::Still, Self::Kept, Self::Dropped];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Still => "still",
            Self::Kept => "kept",
            Self::Dropped => "dropped",
        }
    }

    /// Of those who sweep by themselves.
    const fn cleanup_interval(self) -> Duration {
        match self {
            Self::Still => Duration::from_secs(3_600),
            Self::Kept => Duration::from_micros(1),
            // Nobody is dropped before all are there.
            Self::Dropped => Duration::from_secs(2),
        }
    }
}

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) scene: Scene,
    pub(crate) threads: usize,
    /// That are idle.
    pub(crate) keys: u32,
    /// Unless a pass ends before or later.
    pub(crate) length: Duration,
}

/// How a limiter gets rid of its keys.
pub(crate) trait Swept: Keyed<u64> {
    /// One pass, for a thread of its own. `None`: callers sweep.
    const PASS: Option<fn(&Self)>;
}

impl Swept for PerKeyRateLimiter<u64> {
    const PASS: Option<fn(&Self)> = None;
}

impl Swept for DefaultKeyedRateLimiter<u64> {
    const PASS: Option<fn(&Self)> = Some(|limiter| limiter.retain_recent());
}

impl Swept for MutexKeyed<u64> {
    const PASS: Option<fn(&Self)> = Some(|limiter| limiter.retain_recent());
}

impl Swept for ShardedKeyed<u64> {
    const PASS: Option<fn(&Self)> = Some(Self::retain_recent);
}

impl Swept for rate_net::RateLimiter {
    const PASS: Option<fn(&Self)> = Some(|limiter| {
        limiter.retain_recent();
    });
}

/// The calls of all callers. Every one of them is granted.
pub(crate) fn measure<L: Swept>(setting: &Setting) -> Histogram {
    let &Setting { scene, threads, keys, .. } = setting;
    let limiter: CachePadded<L> = CachePadded::new(L::make(scene.cleanup_interval()));
    for key in 0..HOT + keys {
        let (key, full) = (u64::from(key), scene == Scene::Dropped && key >= HOT);
        assert!(if full { limiter.take(&key) } else { limiter.take_n(&key, DEBT) }, "a new key has its burst");
    }
    if scene == Scene::Dropped {
        // Idle for the interval, and the millisecond before that in which a bucket became full.
        thread::sleep(scene.cleanup_interval() + Duration::from_millis(10));
    }
    assert_eq!(limiter.count() as u32, HOT + keys, "nobody was dropped yet");

    let pass = L::PASS.filter(|_| scene != Scene::Still);
    let barrier = SpinBarrier::new(threads + usize::from(pass.is_some()));
    let over = CachePadded::new(AtomicBool::new(false));
    let calls = thread::scope(|scope| {
        let (limiter, barrier, over) = (&*limiter, &barrier, &*over);
        if let Some(pass) = pass {
            scope.spawn(move || {
                pin(cores().len().saturating_sub(1));
                barrier.wait();
                // Ordering: Relaxed, here and below; the flag publishes nothing.
                while !over.load(Ordering::Relaxed) {
                    pass(limiter);
                    if scene == Scene::Dropped {
                        over.store(true, Ordering::Relaxed);
                    }
                }
            });
        }
        let caller = |index| {
            scope.spawn(move || {
                pin(index);
                barrier.wait();
                caller(limiter, setting, over)
            })
        };
        let callers: Vec<_> = (0..threads).map(caller).collect();
        let found: Vec<_> = callers.into_iter().map(|caller| caller.join()).collect();
        // Also if a caller panicked: the scope waits for the sweeper.
        over.store(true, Ordering::Relaxed);
        let mut calls = Histogram::new();
        for found in found {
            calls.merge(&found.expect("every call is granted"));
        }
        calls
    });
    let left = if scene == Scene::Dropped { HOT } else { HOT + keys };
    assert_eq!(limiter.count() as u32, left, "those who owe stay, and no others if they are dropped");
    calls
}

/// Reads the time once a call, so that a call's time contains the reading, the counting, and nothing is left out.
fn caller<L: Swept>(limiter: &L, setting: &Setting, over: &AtomicBool) -> Histogram {
    let (clock, mut calls) = (MonotonicClock::new(), Histogram::new());
    let now = || clock.now().as_nanos();
    let mut before = now();
    let end = before + setting.length.as_nanos() as u64;
    loop {
        for key in 0..u64::from(HOT) {
            assert!(limiter.take(&key), "a hot key has half its burst");
            let after = now();
            calls.record(after - before);
            before = after;
        }
        let is_over = match setting.scene {
            Scene::Still | Scene::Kept => before >= end,
            Scene::Dropped if L::PASS.is_some() => over.load(Ordering::Relaxed),
            Scene::Dropped => limiter.count() <= HOT as usize,
        };
        if is_over {
            return calls;
        }
    }
}
