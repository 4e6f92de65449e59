//! The window counters under random schedules, stalls between any two steps included, with clocks that jump, stand
//! and step back: no interval is above its bound.
//!
//! loom explores every schedule of two or three calls; here are a dozen of them, and more edges than one.

#![allow(missing_docs)]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use shuttle::rand::{Rng, thread_rng};
use shuttle::thread;
use sluicegate_shuttle::{Clock, FixedWindowCounterBuilder, SlidingWindowCounterBuilder};
use support::{ModelClock, explore};

const THREADS: usize = 3;
const CALLS_PER_THREAD: usize = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Law {
    Fixed,
    Interpolated,
    Strict,
}

#[derive(Clone, Copy, Debug)]
struct Setting {
    law: Law,
    refunds: bool,
    steps_back: bool,
}

/// A number for this moment: what the clock shows now is the last of so many.
fn moment(clock: &ModelClock) -> usize {
    clock.with_shown(|shown| shown.len())
}

/// A call that was granted, or one that gave back.
#[derive(Clone, Copy, Debug)]
struct Call {
    start: usize,
    end: usize,
    permits: u64,
    gives_back: bool,
}

/// A call in the limiter's own time, which never goes back: the time that counted for it lies within.
#[derive(Clone, Copy, Debug)]
struct Span {
    from: u64,
    to: u64,
    permits: u64,
    gives_back: bool,
}

/// The least that the clock showed during a call, or what it showed to one that was granted and over before; to the
/// most that it ever showed until the end of it.
fn spans(shown: &[u64], calls: &[Call]) -> Vec<Span> {
    let least = |call: &Call| *shown[call.start - 1..call.end].iter().min().expect("it shows something");
    let span = |call: &Call| {
        let before = calls.iter().filter(|other| !other.gives_back && other.end < call.start).map(least);
        Span {
            from: before.chain([least(call)]).max().expect("its own"),
            to: *shown[..call.end].iter().max().expect("it shows something"),
            permits: call.permits,
            gives_back: call.gives_back,
        }
    };
    calls.iter().map(span).collect()
}

/// What was granted by calls wholly inside `[from, from + length)`, less what was given back by calls that overlap it.
fn net(spans: &[Span], from: u64, length: u64) -> i64 {
    let end = from + length;
    let of = |span: &Span| {
        if span.gives_back && span.to >= from && span.from < end {
            -(span.permits as i64)
        } else if !span.gives_back && span.from >= from && span.to < end {
            span.permits as i64
        } else {
            0
        }
    };
    spans.iter().map(of).sum()
}

fn check(setting: Setting, limit: u64, window: u64, spans: &[Span]) {
    let limit = limit as i64;
    let rolling = match setting.law {
        Law::Fixed | Law::Interpolated => 2 * limit,
        Law::Strict => limit,
    };
    let starts: BTreeSet<u64> = spans.iter().map(|span| span.from).collect();
    for from in starts {
        let granted = net(spans, from, window);
        assert!(granted <= rolling, "{granted} of {limit} in {window} ns from {from}, {setting:?}: {spans:?}");
        let granted = net(spans, from - from % window, window);
        assert!(granted <= limit, "{granted} of {limit} in the window of {from}, {setting:?}: {spans:?}");
    }
}

/// A counter of any kind.
struct Counter {
    try_acquire_n: Box<dyn Fn(u64) -> bool + Send + Sync>,
    refund: Box<dyn Fn(u64) + Send + Sync>,
}

impl Counter {
    fn new(law: Law, limit: u64, window: u64, clock: ModelClock) -> Self {
        macro_rules! of {
            ($builder:expr) => {{
                let counter = Arc::new($builder.build().expect("it fits"));
                let other = Arc::clone(&counter);
                Self {
                    try_acquire_n: Box::new(move |n| counter.try_acquire_n(n).is_ok()),
                    refund: Box::new(move |n| other.refund(n)),
                }
            }};
        }
        let window = Duration::from_nanos(window);
        match law {
            Law::Fixed => of!(FixedWindowCounterBuilder::new(limit, window, clock)),
            Law::Interpolated => of!(SlidingWindowCounterBuilder::new(limit, window, clock)),
            Law::Strict => of!(SlidingWindowCounterBuilder::new(limit, window, clock).strict()),
        }
    }
}

/// Somewhere that matters: nowhere, next to an edge, a part or a window or two on, or back.
fn next_time(now: u64, window: u64, steps_back: bool) -> u64 {
    let mut rng = thread_rng();
    let to_edge = window - now % window;
    if steps_back && rng.gen_range(0..3) == 0 {
        return now.saturating_sub([1, window / 16, now % window + 1, window, 2 * window][rng.gen_range(0..5)]);
    }
    now + [1, to_edge, to_edge, to_edge - 1, window / 16 + 1, window, window + window / 16, 2 * window]
        [rng.gen_range(0..8)]
}

/// What a thread of a run does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    /// Whatever comes.
    Random,
    /// A permit in every window, so that each is closed by the next one.
    March,
    /// A permit, as often as it may.
    Acquire,
}

/// What the threads of a run share.
struct Shared {
    setting: Setting,
    window: u64,
    limit: u64,
    clock: ModelClock,
    counter: Counter,
}

impl Shared {
    /// Adds the calls that were granted or gave back, and tells how many decisions were made.
    fn work(&self, work: Work, calls: &mut Vec<Call>) -> u64 {
        let (mut rng, clock, mut decisions) = (thread_rng(), &self.clock, 0);
        for turn in 0..CALLS_PER_THREAD * if work == Work::March { 2 } else { 1 } {
            let now = || clock.now().as_nanos();
            let step = match work {
                Work::Random => rng.gen_range(0..8),
                Work::March if turn % 2 == 0 => {
                    clock.set(now() + self.window);
                    continue;
                }
                Work::March | Work::Acquire => 3,
            };
            let permits = if work == Work::Random { rng.gen_range(1..=self.limit.min(2)) } else { 1 };
            let start = moment(clock);
            let call = |gives_back| Call { start, end: moment(clock), permits, gives_back };
            match step {
                0 | 1 => clock.set(next_time(now(), self.window, self.setting.steps_back)),
                2 if self.setting.refunds => {
                    (self.counter.refund)(permits);
                    calls.push(call(true));
                }
                _ => {
                    decisions += 1;
                    if (self.counter.try_acquire_n)(permits) {
                        calls.push(call(false));
                    }
                }
            }
        }
        decisions
    }
}

/// One run: threads that acquire, give back and move the clock. Returns how many decisions were made.
fn run(setting: Setting) -> u64 {
    let mut rng = thread_rng();
    let window = [1_600, 1_024, 1_001][rng.gen_range(0..3)];
    let limit = rng.gen_range(1..=4);
    let clock = ModelClock::at(3 * window + [0, window / 2, window - 1][rng.gen_range(0..3)]);
    let counter = Counter::new(setting.law, limit, window, clock.clone());
    let shared = Arc::new(Shared { setting, window, limit, clock, counter });
    let first = if rng.gen_range(0..3) == 0 { Work::March } else { Work::Random };
    let others = if first == Work::March { Work::Acquire } else { Work::Random };
    let threads = (0..THREADS).map(|index| {
        let shared = Arc::clone(&shared);
        thread::spawn(move || {
            let mut calls = Vec::new();
            let decisions = shared.work(if index == 0 { first } else { others }, &mut calls);
            (calls, decisions)
        })
    });
    let (mut calls, mut decisions) = (Vec::new(), 0);
    for thread in threads.collect::<Vec<_>>() {
        let (its_calls, its_decisions) = thread.join().expect("no thread panics");
        calls.extend(its_calls);
        decisions += its_decisions;
    }
    shared.clock.with_shown(|shown| check(setting, limit, window, &spans(shown, &calls)));
    decisions
}

/// Kills most of what the models kill: see docs/DESIGN.md.
#[test]
fn no_interval_is_above_its_bound() {
    let mut total = 0;
    for law in [Law::Fixed, Law::Interpolated, Law::Strict] {
        for (refunds, steps_back) in [(false, false), (true, false), (false, true), (true, true)] {
            let setting = Setting { law, refunds, steps_back };
            let started = Instant::now();
            let decisions = explore(40_000, move || run(setting));
            println!("{setting:?}: {decisions} decisions in {:.1?}", started.elapsed());
            total += decisions;
        }
    }
    println!("{total} decisions");
}
