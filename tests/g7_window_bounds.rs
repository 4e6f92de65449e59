//! G7: what a window counter grants at most, and at least. In each aligned window no more than the limit; in any
//! interval of a window's length no more than twice that, and under the strict law never more than the limit. Proved
//! by looking at all intervals of recorded traces: of callers who do their worst on a clock of their own, and of
//! threads on the real one.

mod support;

use std::sync::Barrier;
use std::time::Duration;

use sluicegate::{ManualClock, MonotonicClock, Nanos};
use support::intervals::Call;
use support::quotas::SECOND;
use support::threads::{Random, timed};
use support::windows::{LAWS, Law, WindowCounter, largest, most_in_any_interval, most_in_any_window};

/// One caller on a clock of its own, and what it got.
struct Caller {
    clock: ManualClock,
    counter: WindowCounter<ManualClock>,
    law: Law,
    window: u64,
    limit: u64,
    grants: Vec<Call>,
    given_back: Vec<Call>,
    decisions: u64,
}

impl Caller {
    fn new(law: Law, limit: u64, window: u64) -> Self {
        let clock = ManualClock::new();
        let counter = WindowCounter::new(law, limit, Duration::from_nanos(window), clock.clone()).unwrap();
        Self { clock, counter, law, window, limit, grants: Vec::new(), given_back: Vec::new(), decisions: 0 }
    }

    /// Asks for `n` permits at `time`.
    fn ask(&mut self, time: u64, n: u64) -> bool {
        self.clock.set(Nanos::from_nanos(time));
        self.decisions += 1;
        let granted = self.counter.try_acquire_n(n).is_ok();
        if granted {
            self.grants.push(Call { start: time, end: time + 1, permits: n });
        }
        granted
    }

    /// Asks for all that is there.
    fn drain(&mut self, time: u64) {
        self.clock.set(Nanos::from_nanos(time));
        match self.counter.available() {
            0 => assert!(!self.ask(time, 1)),
            n => assert!(self.ask(time, n)),
        }
    }

    fn give_back(&mut self, time: u64, n: u64) {
        self.clock.set(Nanos::from_nanos(time));
        self.counter.refund(n);
        self.given_back.push(Call { start: time, end: time + 1, permits: n });
    }

    fn granted(&self) -> u64 {
        self.grants.iter().map(|grant| grant.permits).sum()
    }

    /// The most in any interval, as a share of the limit.
    fn most(&self) -> f64 {
        most_in_any_interval(&self.grants, &self.given_back, self.window) as f64 / self.limit as f64
    }

    /// What is granted in each of so many windows, as a share of the limit.
    fn share(&self, windows: u64) -> f64 {
        self.granted() as f64 / (self.limit * windows) as f64
    }

    fn check(&self, what: &str) {
        within_bounds(self.law, self.limit, self.window, &self.grants, &self.given_back, what);
    }
}

/// Both bounds of a trace.
fn within_bounds(law: Law, limit: u64, window: u64, grants: &[Call], given_back: &[Call], what: &str) {
    let aligned = most_in_any_window(grants, given_back, window);
    let rolling = most_in_any_interval(grants, given_back, window);
    let most = if law == Law::Strict { limit } else { 2 * limit };
    assert!(aligned <= limit.into(), "{what}: {law:?} granted {aligned} of {limit} in a window of {window} ns");
    assert!(rolling <= most.into(), "{what}: {law:?} granted {rolling} in an interval of {window} ns, {most} allowed");
}

/// Limits and windows that the callers try.
fn shapes(law: Law) -> impl Iterator<Item = (u64, u64)> {
    [1_000, 1_009, 16_000, 10_007, 1_000_003].into_iter().flat_map(move |window| {
        let most = largest(law, Duration::from_nanos(window));
        [1, 2, 7, 30, 100, most].into_iter().filter(move |&limit| limit <= most).map(move |limit| (limit, window))
    })
}

/// Greedy at the edges, in bursts late and early, at every sixteenth, at random, with and without giving back.
///
/// Kills `strict is a sixteenth short`: the previous window forgotten 16 sixteenths after its last grant, not 17.
#[test]
fn callers_who_do_their_worst_stay_within_the_bounds() {
    let mut decisions = 0;
    for law in LAWS {
        let mut random = Random::new(7);
        for (limit, window) in shapes(law) {
            let mut greedy = Caller::new(law, limit, window);
            let mut bursts = Caller::new(law, limit, window);
            let mut fine = Caller::new(law, limit, window);
            let mut giving = Caller::new(law, limit, window);
            for index in 1..60 {
                let edge = index * window;
                for time in [edge - 1, edge, edge + 1, edge + window / 16, edge + window / 2] {
                    greedy.drain(time);
                }
                // So much before the edge and so much after it.
                let (before, after) = (random.next() % (window / 2), random.next() % (window / 2));
                bursts.ask(edge + after, 1 + random.next() % limit);
                bursts.drain(edge + after);
                bursts.drain(edge + window - 1 - before);
                for part in 0..64 {
                    fine.ask(edge + window * part / 64, 1 + random.next() % limit.div_ceil(8));
                }
                for part in 0..20 {
                    let time = edge + window * part / 20;
                    if giving.ask(time, 1 + random.next() % limit) && random.next() % 3 == 0 {
                        giving.give_back(time, 1 + random.next() % limit);
                    }
                }
            }
            let mut wild = Caller::new(law, limit, window);
            let mut time = 0;
            for _ in 0..2_000 {
                let span = [1, window / 16, window / 4, 2 * window][random.next() as usize % 4];
                time += random.next() % span;
                wild.ask(time, 1 + random.next() % limit);
            }
            let callers = [("greedy", greedy), ("bursts", bursts), ("fine", fine), ("giving", giving), ("wild", wild)];
            for (what, caller) in callers {
                caller.check(what);
                decisions += caller.decisions;
            }
        }
    }
    println!("{decisions} decisions of callers who do their worst");
    assert!(decisions > 500_000);
}

/// A fixed window grants its limit in each window, no less, and twice that across an edge, as documented.
#[test]
fn a_fixed_window_grants_its_limit_in_each_window() {
    for (limit, window) in shapes(Law::Fixed) {
        let mut caller = Caller::new(Law::Fixed, limit, window);
        for index in 0..1_000 {
            caller.drain(index * window + index % 2 * (window - 1));
            caller.drain((index + 1) * window - 1);
        }
        assert_eq!(caller.granted(), 1_000 * limit);
        caller.check("greedy");
    }
    let mut caller = Caller::new(Law::Fixed, 100, SECOND);
    caller.drain(SECOND - 1);
    caller.drain(SECOND);
    assert_eq!(caller.most(), 2.0);
}

/// The limit at the end of a window, and what comes back of it until the end of the next one.
#[test]
fn an_interpolated_window_comes_close_to_twice_the_limit() {
    for (limit, window) in [(100, 10_007), (1_000, 1_000_003)] {
        let mut caller = Caller::new(Law::Interpolated, limit, window);
        caller.drain(2 * window - 1);
        for step in 0..500 {
            caller.drain(2 * window + window * step / 500);
        }
        caller.drain(3 * window - 2);
        println!("interpolated, {limit} in {window} ns: {:.4} of the limit in one interval", caller.most());
        assert!(caller.most() > 1.9);
        caller.check("late, then all of the next window");
    }
}

/// Twice as much as is allowed, evenly: the estimate is right then, and the limit is sustained.
#[test]
fn an_interpolated_window_sustains_the_limit_under_even_demand() {
    let mut caller = Caller::new(Law::Interpolated, 100, 16_000);
    for step in 0..200 * 1_000 {
        caller.ask(step * 80, 1);
    }
    println!("interpolated, under even demand: {:.4} of the limit sustained", caller.share(1_000));
    caller.check("even");
    assert!(caller.share(1_000) > 0.98);
}

/// What the strict law costs: who takes all at once gets it again 17/16 of a window later; who takes a half early and a
/// half late gets nothing in the next window.
#[test]
fn a_strict_window_sustains_from_one_half_to_sixteen_seventeenths() {
    const WINDOWS: u64 = 17 * 100;
    for (limit, window) in [(100, 16_000), (7, 10_007), (1_000, 1_000_003)] {
        let mut greedy = Caller::new(Law::Strict, limit, window);
        let mut halves = Caller::new(Law::Strict, limit, window);
        for index in 0..WINDOWS {
            for step in 0..160 {
                greedy.drain(index * window + window * step / 160);
            }
            for (time, half) in [(index * window, limit / 2), ((index + 1) * window - 1, limit.div_ceil(2))] {
                halves.ask(time, half);
            }
        }
        let (all, half) = (greedy.share(WINDOWS), halves.share(WINDOWS));
        println!("strict, {limit} in {window} ns: all at once sustains {all:.4} of the limit, half and half {half:.4}");
        assert!((all - 16.0 / 17.0).abs() < 0.002 && (half - 0.5).abs() < 0.01);
        greedy.check("greedy");
        halves.check("half and half");
        assert_eq!(greedy.most(), 1.0, "and it does reach the limit");
    }
}

/// One thread's share of a trace.
#[derive(Default)]
struct Trace {
    grants: Vec<Call>,
    given_back: Vec<Call>,
    decisions: u64,
}

impl Trace {
    fn join(mut self, other: Self) -> Self {
        self.grants.extend(other.grants);
        self.given_back.extend(other.given_back);
        Self { decisions: self.decisions + other.decisions, ..self }
    }
}

/// Four threads that make so many decisions each, some of them giving back when they are denied.
fn stress(counter: &WindowCounter<MonotonicClock>, decisions: u64, gives_back: bool) -> Trace {
    let barrier = Barrier::new(4);
    let most = counter.limit().min(4);
    let run = |seed| {
        let (mut trace, mut random) = (Trace::default(), Random::new(seed));
        barrier.wait();
        while trace.decisions < decisions {
            trace.decisions += 1;
            let permits = 1 + random.next() % most;
            let (result, start, end) = timed(|| counter.try_acquire_n(permits));
            if result.is_ok() {
                trace.grants.push(Call { start, end, permits });
            } else if gives_back && random.next() % 4 == 0 {
                // Little is there, so that it counts in full.
                let ((), start, end) = timed(|| counter.refund(permits));
                trace.given_back.push(Call { start, end, permits });
            }
        }
        trace
    };
    std::thread::scope(|scope| {
        let run = &run;
        let threads: Vec<_> = (1..=4).map(|seed| scope.spawn(move || run(seed))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).fold(Trace::default(), Trace::join)
    })
}

fn threads(gives_back: bool) {
    let micros = [(1, 50), (7, 50), (200, 50), (20, 137), (200, 400), (3, 1_000), (150, 1_000)];
    for law in LAWS {
        let mut all = Trace::default();
        for (limit, micros) in micros {
            let window = Duration::from_micros(micros);
            let counter = WindowCounter::new(law, limit, window, MonotonicClock::new()).unwrap();
            let trace = stress(&counter, 60_000, gives_back);
            within_bounds(law, limit, micros * 1_000, &trace.grants, &trace.given_back, "threads");
            assert!(
                trace.grants.len() as u64 * 4 >= limit,
                "{law:?}, {limit} in {window:?}: not one window was granted"
            );
            all = all.join(trace);
        }
        let (grants, given_back) = (all.grants.len(), all.given_back.len());
        println!("{law:?}: {} decisions of threads, {grants} granted, {given_back} times given back", all.decisions);
        assert!(all.decisions > 1_000_000 && all.decisions > grants as u64, "no limit was ever reached");
        assert_eq!(given_back > 0, gives_back);
    }
}

#[test]
fn threads_on_the_real_clock() {
    threads(false);
}

#[test]
fn threads_that_give_back() {
    threads(true);
}
