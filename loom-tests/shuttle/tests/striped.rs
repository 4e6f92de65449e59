//! The striped bucket and workers' stocks of it under random schedules, stalls between any two steps included, with clocks
//! that jump, stand and step back: no interval is above its bound.
//!
//! loom explores every schedule of two or three calls; here are two dozen of them, and more places than two.

#![allow(missing_docs)]

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use shuttle::rand::{Rng, thread_rng};
use shuttle::thread;
use sluicegate_shuttle::{OwnedLocalTokenBucket, Quota, StripedTokenBucket, set_thread_number};
use support::{ModelClock, explore};

const THREADS: usize = 3;
const CALLS_PER_THREAD: usize = 10;

const PERIOD: u64 = 128;
/// With batches of 4, of 6, and with none.
const BURSTS: [u64; 3] = [128, 192, 16];

type Bucket = StripedTokenBucket<ModelClock>;

#[derive(Clone, Copy, Debug)]
struct Setting {
    locals: bool,
    refunds: bool,
    changes: bool,
    steps_back: bool,
}

/// One permit in 128 ns.
const fn quota(burst: u64) -> Quota {
    Quota::per(1, Duration::from_nanos(PERIOD)).burst(burst)
}

/// A call, from its first moment to its last.
#[derive(Clone, Copy, Debug)]
struct Call {
    start: usize,
    end: usize,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Granted(u64),
    Refunded(u64),
    /// To this burst.
    Changed(u64),
}

/// What a run was.
#[derive(Debug)]
struct Trace {
    setting: Setting,
    shown: Vec<u64>,
    calls: Vec<Call>,
}

impl Trace {
    /// What was granted by calls wholly inside, less what was given back by calls that overlap it.
    fn net(&self, from: usize, to: usize) -> i64 {
        let of = |call: &Call| match call.kind {
            Kind::Granted(n) if call.start >= from && call.end <= to => n as i64,
            Kind::Refunded(n) if call.end >= from && call.start <= to => -(n as i64),
            _ => 0,
        };
        self.calls.iter().map(of).sum()
    }

    /// The largest of those that were live at any moment of it. Changes are made by one thread.
    fn burst(&self, from: usize, to: usize) -> i64 {
        let changes = || {
            self.calls.iter().filter_map(|call| match call.kind {
                Kind::Changed(burst) => Some((call.start, call.end, burst)),
                _ => None,
            })
        };
        // Each lives until the next one has come.
        let ends = changes().map(|(_, end, _)| end).skip(1).chain([usize::MAX]);
        let live = changes().zip(ends).filter(|&((start, _, _), end)| start <= to && end >= from);
        live.map(|((_, _, burst), _)| burst as i64).max().expect("one is live")
    }

    /// Where the clock has stepped back since the beginning of an interval, that begins and ends with a call, time counts from
    /// the first moment of all.
    fn check(&self) {
        let granted = || self.calls.iter().filter(|call| matches!(call.kind, Kind::Granted(_)));
        for (from, to) in granted().flat_map(|first| granted().map(|last| (first.start, last.end))) {
            if from > to {
                continue;
            }
            let is_whole = self.shown[from..=to].is_sorted();
            let (from, began) = if is_whole { (from, self.shown[from]) } else { (0, self.shown[0]) };
            let latest = *self.shown[from..=to].iter().max().expect("it shows something");
            let bound = self.burst(from, to) + ((latest - began + 1) / PERIOD) as i64;
            let net = self.net(from, to);
            assert!(net <= bound, "{net} instead of {bound} in {from}..={to}, {:?}: {self:?}", self.setting);
        }
    }
}

/// What the threads of a run share.
struct Shared {
    setting: Setting,
    clock: ModelClock,
    bucket: Arc<Bucket>,
}

impl Shared {
    /// A number for this moment, above those of all before.
    fn moment(&self) -> usize {
        self.clock.with_shown(|shown| {
            shown.push(shown[shown.len() - 1]);
            shown.len() - 1
        })
    }

    fn call(&self, calls: &mut Vec<Call>, call: impl FnOnce() -> Option<Kind>) {
        let start = self.moment();
        if let Some(kind) = call() {
            calls.push(Call { start, end: self.moment(), kind });
        }
    }

    fn move_clock(&self) {
        let mut rng = thread_rng();
        if self.setting.steps_back && rng.gen_range(0..3) == 0 {
            self.clock.step_back([1, PERIOD, 6 * PERIOD, 130 * PERIOD][rng.gen_range(0..4)]);
        } else {
            self.clock.advance([1, PERIOD / 2, PERIOD, 6 * PERIOD, 130 * PERIOD, 130 * PERIOD][rng.gen_range(0..6)]);
        }
    }

    /// The calls that were granted, gave back, or changed the quota.
    fn work(&self, index: usize) -> Vec<Call> {
        set_thread_number(index);
        let (mut rng, mut calls) = (thread_rng(), Vec::new());
        let mut local: Option<OwnedLocalTokenBucket<ModelClock>> = None;
        for _ in 0..CALLS_PER_THREAD {
            let n = [1, 1, 1, 2, 4, 5, 8, 60, 112, 120][rng.gen_range(0..10)];
            let granted = |is_granted: bool| is_granted.then_some(Kind::Granted(n));
            match rng.gen_range(0..16) {
                0..=2 => self.move_clock(),
                3 | 4 if self.setting.refunds => self.call(&mut calls, || {
                    let n = n.min(5);
                    self.bucket.refund(n);
                    Some(Kind::Refunded(n))
                }),
                5 if self.setting.changes && index == 0 => self.call(&mut calls, || {
                    let burst = BURSTS[rng.gen_range(0..BURSTS.len())];
                    self.bucket.set_quota(quota(burst)).expect("it is valid");
                    Some(Kind::Changed(burst))
                }),
                6 | 7 => self.call(&mut calls, || {
                    let most = [3, 9, u64::MAX][rng.gen_range(0..3)];
                    Some(Kind::Granted(self.bucket.try_acquire_up_to(most)))
                }),
                8..=11 if self.setting.locals => match local.take() {
                    None => local = Some(Arc::clone(&self.bucket).local_owned()),
                    Some(ended) if rng.gen_range(0..4) == 0 => drop(ended),
                    Some(mut used) => {
                        self.call(&mut calls, || granted(used.try_acquire_n(n).is_ok()));
                        local = Some(used);
                    }
                },
                _ => self.call(&mut calls, || granted(self.bucket.try_acquire_n(n).is_ok())),
            }
        }
        calls
    }
}

/// One run: threads that acquire, give back, change the quota and move the clock. Returns how many calls counted.
fn run(setting: Setting) -> u64 {
    let mut rng = thread_rng();
    let clock = ModelClock::at(1_000_000_000);
    let burst = BURSTS[rng.gen_range(0..2)];
    let bucket = StripedTokenBucket::with_clock(quota(burst), clock.clone()).expect("it fits");
    assert_eq!(bucket.available(), burst);
    // There is time to step back to, and the word is of this moment: what is taken is more than a stripe has.
    clock.advance(1_000 * PERIOD);
    clock.with_shown(|shown| drop(shown.drain(..shown.len() - 1)));
    let taken = [9, 9, burst - 9][rng.gen_range(0..3)];
    assert_eq!(bucket.try_acquire_up_to(taken), taken);
    if rng.gen_range(0..2) == 0 {
        // All that there may be.
        bucket.refund(taken);
        assert_eq!(bucket.available(), burst);
    }
    let bucket = Arc::new(bucket);
    let shared = Arc::new(Shared { setting, clock, bucket });
    let mut calls = vec![Call { start: 0, end: 0, kind: Kind::Changed(burst) }];
    let threads = (0..THREADS).map(|index| {
        let shared = Arc::clone(&shared);
        thread::spawn(move || shared.work(index))
    });
    for thread in threads.collect::<Vec<_>>() {
        calls.extend(thread.join().expect("no thread panics"));
    }
    // All that is left, wherever it is.
    shared.call(&mut calls, || Some(Kind::Granted(shared.bucket.try_acquire_up_to(u64::MAX))));
    assert_eq!(shared.bucket.available(), 0);
    let count = calls.len() as u64;
    Trace { setting, shown: shared.clock.with_shown(std::mem::take), calls }.check();
    count
}

/// Kills most of what the models kill, and `lends-in-debt`: see docs/DESIGN.md.
#[test]
fn no_interval_is_above_its_bound() {
    let mut total = 0;
    for (locals, refunds, changes, steps_back) in [
        (false, false, false, false),
        (true, false, false, false),
        (false, true, false, false),
        (true, true, true, false),
        (false, false, false, true),
        (false, true, false, true),
        (true, false, false, true),
        (true, true, false, true),
    ] {
        // Not both: a change under a clock that has stepped back cuts what is owed to one burst, as it says.
        assert!(!steps_back || !changes);
        let setting = Setting { locals, refunds, changes, steps_back };
        let started = Instant::now();
        let calls = explore(4_500, move || run(setting));
        println!("{setting:?}: {calls} calls in {:.1?}", started.elapsed());
        total += calls;
    }
    println!("{total} calls");
}
