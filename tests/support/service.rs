//! Callers behind an adaptive limiter, in front of a service that can do only so much: a simulation in virtual time.
//!
//! Nothing is random and nothing reads a real clock, so a run gives the same numbers everywhere. Needs nothing but the
//! library, so that examples can include it by path.

#![allow(dead_code, unreachable_pub)]

use std::collections::VecDeque;
use std::time::Duration;

use sluicegate::{AdaptiveRateLimiter, ManualClock};

/// Steps of the simulation a second.
const STEPS: u64 = 1_000;
/// Intervals a second that are told of.
const INTERVALS: u64 = 10;

/// Who calls, and what the service can do.
#[derive(Clone, Debug)]
pub struct World {
    /// Calls a second that are attempted, evenly spaced; who is denied does not come back.
    pub demand: f64,
    /// Requests a second that the service can do, from that second on. Beyond it, and at 0, every request fails.
    pub capacity: Vec<(f64, f64)>,
    /// Requests that the service lets wait for their turn instead of failing them.
    pub buffer: f64,
    /// From the grant to the report of the outcome, success or error.
    pub latency: Duration,
}

/// What happened in one interval.
#[derive(Clone, Copy, Debug)]
pub struct Interval {
    /// Seconds from the start.
    pub from: f64,
    pub to: f64,
    /// What the service could do, requests a second.
    pub capacity: f64,
    /// The limiter's rate at the end, permits a second.
    pub rate: f64,
    /// Calls that asked for a permit, that got one, and of these the ones that failed and that were served.
    pub offered: u64,
    pub granted: u64,
    pub errors: u64,
    pub goodput: u64,
}

/// Lets `world` run for so many seconds from where the clock stands, which is moved by nobody else.
pub fn simulate(
    limiter: &AdaptiveRateLimiter<ManualClock>,
    clock: &ManualClock,
    world: &World,
    seconds: u64,
) -> Vec<Interval> {
    let latency = world.latency.as_millis() as u64 * STEPS / 1_000;
    // Fractions of a call, requests that wait at the service, and reports under way: when, and whether it went well.
    let (mut calls, mut backlog, mut reports) = (0.0, 0.0_f64, VecDeque::new());
    let mut intervals = Vec::new();
    let mut interval = Interval::starting(0.0);
    for step in 1..=seconds * STEPS {
        clock.advance(Duration::from_secs(1) / STEPS as u32);
        let now = step as f64 / STEPS as f64;
        let capacity = world.capacity_at(now);
        backlog = (backlog - capacity / STEPS as f64).max(0.0);
        while reports.front().is_some_and(|&(due, _)| due <= step) {
            match reports.pop_front() {
                Some((_, true)) => limiter.record_success(),
                _ => limiter.record_error(),
            }
        }
        calls += world.demand / STEPS as f64;
        while calls >= 1.0 {
            calls -= 1.0;
            interval.offered += 1;
            if limiter.try_acquire().is_err() {
                continue;
            }
            interval.granted += 1;
            let good = capacity > 0.0 && backlog < world.buffer;
            if good {
                backlog += 1.0;
                interval.goodput += 1;
            } else {
                interval.errors += 1;
            }
            reports.push_back((step + latency, good));
        }
        if step % (STEPS / INTERVALS) == 0 {
            intervals.push(Interval { to: now, capacity, rate: limiter.current_rate(), ..interval });
            interval = Interval::starting(now);
        }
    }
    intervals
}

impl World {
    fn capacity_at(&self, second: f64) -> f64 {
        self.capacity.iter().rev().find(|(from, _)| *from <= second).map_or(0.0, |&(_, capacity)| capacity)
    }
}

impl Interval {
    fn starting(from: f64) -> Self {
        Self { from, to: from, capacity: 0.0, rate: 0.0, offered: 0, granted: 0, errors: 0, goodput: 0 }
    }
}

/// Sums over a part of a run.
#[derive(Clone, Copy, Debug)]
pub struct Total {
    pub seconds: f64,
    /// Of what the service could do.
    pub capacity: f64,
    pub offered: u64,
    pub granted: u64,
    pub errors: u64,
    pub goodput: u64,
    /// Permits that the rate allowed.
    pub allowed: f64,
}

/// The sums over the intervals between two seconds.
pub fn total(intervals: &[Interval], from: f64, to: f64) -> Total {
    // Half an interval of leeway: the edges are sums of fractions.
    let leeway = 0.5 / INTERVALS as f64;
    let none = Total { seconds: 0.0, capacity: 0.0, offered: 0, granted: 0, errors: 0, goodput: 0, allowed: 0.0 };
    let inside = |interval: &&Interval| interval.from >= from - leeway && interval.to <= to + leeway;
    intervals.iter().filter(inside).fold(none, |sum, one| {
        let seconds = one.to - one.from;
        Total {
            seconds: sum.seconds + seconds,
            capacity: sum.capacity + one.capacity * seconds,
            offered: sum.offered + one.offered,
            granted: sum.granted + one.granted,
            errors: sum.errors + one.errors,
            goodput: sum.goodput + one.goodput,
            allowed: sum.allowed + one.rate * seconds,
        }
    })
}

impl Total {
    /// Permits a second.
    pub fn granted_per_second(&self) -> f64 {
        self.granted as f64 / self.seconds
    }

    /// The limiter's rate, permits a second.
    pub fn mean_rate(&self) -> f64 {
        self.allowed / self.seconds
    }

    /// Of the requests that were sent, 0.0 of none.
    pub fn error_share(&self) -> f64 {
        self.errors as f64 / self.granted.max(1) as f64
    }
}
