//! The end of a window: who brings it about, and what happens then.
//!
//! # Protocol
//! One at a time, by `try_lock` on the turn; whoever does not get it goes on at the old rate.
//!
//! ```text
//! edge = {clock, permits, reports}            for the end of this window and the beginning of the next
//! not due -> done: somebody has just been here
//! too few reports for so low a rate ->        end = clock + window, and that is all
//! rate' = law(rate, edge - beginning); another one ->
//!                                             try set_quota(rate'): the bucket's own protocol, which keeps the level
//!                                               it is busy -> that is all: it stays due, and the next one tries again
//!                                             rate = rate'; last change
//! beginning = edge; end = beginning + window
//! after a change -> wake who waits; beginning = edge, with clock and permits of now; end = beginning + window; on_change
//! ```
//!
//! Whoever finds the window over and does not end it raises `busy until` to its own reading: so long permits were taken.
//!
//! Reports are counted for ever, by each thread for itself, and nothing is ever taken off. So a report, which reads no
//! clock and knows of no window, is for the first time in one of the sums, and in that one's window. (Index and counts in
//! one word fail: a report would have to read the clock, and two successive winners could overwrite each other.)
//!
//! Wherever the thread at it is stopped, it has the turn, and no other ends a window. What is reported meanwhile is of
//! calls at the old rate; since the window begins anew after the change, a whole one at the new rate follows before the next.
//! Should the clock panic, then before the change with nothing done, or after it with all but `on_change` done.

use alloc::boxed::Box;
use core::fmt;

use super::AdaptiveRateLimiter;
use super::change::{LastChange, RateChange};
use crate::algorithm::law::{Memory, Tuning, Window};
use crate::clock::Clock;
use crate::counters::{Counters, Outcomes};
use crate::quota::Quota;
use crate::sync::{AtomicF64, AtomicU64, Lock, Ordering};
use crate::word::raise;

/// What `on_change` was given.
pub(super) type Listener = Box<dyn Fn(&RateChange) + Send + Sync>;

/// A moment.
#[derive(Clone, Copy, Debug)]
struct Edge {
    /// Of the clock.
    ticks: u64,
    /// Calls that were ever granted, and what they took, less what was given back.
    calls: u64,
    permits: u64,
    /// All that were ever reported.
    outcomes: Outcomes,
}

impl Edge {
    fn of_now(clock: &impl Clock, counters: &Counters) -> Self {
        let ticks = clock.ticks();
        Self { ticks, calls: counters.allowed(), permits: counters.permits(), outcomes: counters.outcomes() }
    }
}

/// All about windows but when one is due.
pub(super) struct Control {
    tuning: Tuning,
    base_rate: f64,
    /// The length of a window in ticks.
    window: u64,
    listener: Option<Listener>,
    /// Permits a second. Written under the turn.
    rate: AtomicF64,
    /// For observers. Written under the turn.
    last: LastChange,
    /// The latest tick at which somebody found a window over and did not end it. It only rises.
    busy_until: AtomicU64,
    /// Held by who ends a window. What follows is written and decided on under it.
    turn: Lock,
    /// The edge at which the window began.
    ticks: AtomicU64,
    calls: AtomicU64,
    permits: AtomicU64,
    successes: AtomicU64,
    errors: AtomicU64,
    /// The tick from which its time counts: later than that if it goes on for lack of reports.
    from: AtomicU64,
    memory: [AtomicF64; Memory::LEN],
}

/// A rate as a quota, with two seconds of it as burst.
pub(super) fn quota_of(rate: f64) -> Quota {
    // Casts of floats saturate.
    Quota::from_rate(rate).burst(((2.0 * rate) as u64).max(1))
}

impl Control {
    pub(super) fn new(tuning: Tuning, base_rate: f64, window: u64, begun: u64, listener: Option<Listener>) -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            tuning,
            base_rate,
            window,
            listener,
            rate: AtomicF64::new(base_rate),
            last: LastChange::new(),
            busy_until: zero(),
            turn: Lock::new(),
            ticks: AtomicU64::new(begun),
            calls: zero(),
            permits: zero(),
            successes: zero(),
            errors: zero(),
            from: AtomicU64::new(begun),
            memory: Memory::new(base_rate).to_array().map(AtomicF64::new),
        }
    }

    pub(super) fn rate(&self) -> f64 {
        // Ordering: Relaxed; a number for observers, and written by who holds the turn.
        self.rate.load(Ordering::Relaxed)
    }

    /// Before the first change.
    pub(super) fn base_rate(&self) -> f64 {
        self.base_rate
    }

    pub(super) fn last_change(&self) -> Option<RateChange> {
        self.last.get()
    }

    /// What was reported in the window that is running.
    pub(super) fn running(&self, counters: &Counters) -> Outcomes {
        let before = self.outcomes_before();
        counters.outcomes().since(before)
    }

    fn outcomes_before(&self) -> Outcomes {
        // Ordering: Acquire pairs with `begin`: what is in this sum is in every sum that is taken after it was read.
        let sum = |count: &AtomicU64| count.load(Ordering::Acquire);
        Outcomes { successes: sum(&self.successes), errors: sum(&self.errors) }
    }

    /// Where the window began. Under the turn.
    fn beginning(&self) -> Edge {
        // Ordering: Relaxed; the turn orders them.
        let number = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let (ticks, calls, permits) = (number(&self.ticks), number(&self.calls), number(&self.permits));
        Edge { ticks, calls, permits, outcomes: self.outcomes_before() }
    }

    /// Begins a window. Under the turn.
    fn begin(&self, edge: &Edge) {
        // Ordering: Relaxed; the turn orders them.
        self.ticks.store(edge.ticks, Ordering::Relaxed);
        // Ordering: as above.
        self.calls.store(edge.calls, Ordering::Relaxed);
        // Ordering: as above.
        self.permits.store(edge.permits, Ordering::Relaxed);
        // Ordering: Release pairs with `outcomes_before`.
        self.successes.store(edge.outcomes.successes, Ordering::Release);
        // Ordering: as above.
        self.errors.store(edge.outcomes.errors, Ordering::Release);
    }

    /// Lets the time of the window count from `ticks`, and tells when it is due. Under the turn.
    fn count_from(&self, ticks: u64) -> u64 {
        // Ordering: Relaxed; the turn orders it.
        self.from.store(ticks, Ordering::Relaxed);
        ticks.saturating_add(self.window)
    }

    fn busy_until(&self) -> u64 {
        // Ordering: Relaxed; who raises it publishes nothing, and one that is seen too late counts for the next window.
        self.busy_until.load(Ordering::Relaxed)
    }

    /// The tick from which it counts. Under the turn.
    fn from(&self) -> u64 {
        // Ordering: Relaxed; the turn orders it.
        self.from.load(Ordering::Relaxed)
    }

    /// What the window brought, which ends at `edge` and was due at tick `due`; and how long ago it began, in seconds.
    fn window(&self, due: u64, edge: &Edge, clock: &impl Clock) -> (Window, f64) {
        let beginning = self.beginning();
        let seconds = |ticks: u64| clock.tick_length().nanos(ticks.saturating_sub(beginning.ticks)) as f64 / 1e9;
        let reported = edge.outcomes.since(beginning.outcomes);
        let window = Window {
            samples: reported.samples(),
            errors: reported.errors,
            calls: edge.calls.wrapping_sub(beginning.calls),
            // More may have been given back than was taken.
            permits: (edge.permits.wrapping_sub(beginning.permits) as i64).max(0) as u64,
            seconds: seconds(due.max(self.busy_until()).min(edge.ticks)),
        };
        (window, seconds(edge.ticks))
    }

    /// The law's answer, and what it then remembers.
    fn decide(&self, window: &Window) -> (Option<RateChange>, Memory) {
        // Ordering: Relaxed; the turn orders them.
        let mut memory = Memory::from_array(self.memory.each_ref().map(|number| number.load(Ordering::Relaxed)));
        let old_rate = self.rate();
        let change = self.tuning.next(old_rate, window, &mut memory).map(|(new_rate, reason)| RateChange {
            old_rate,
            new_rate,
            reason,
            samples: window.samples,
            errors: window.errors,
        });
        (change, memory)
    }

    fn remember(&self, memory: Memory) {
        for (number, value) in self.memory.iter().zip(memory.to_array()) {
            // Ordering: Relaxed; the turn orders them.
            number.store(value, Ordering::Relaxed);
        }
    }
}

impl<C: Clock> AdaptiveRateLimiter<C> {
    /// Ends the window, which was due at tick `ticks`, if it still is and nobody else is at it.
    #[cold]
    #[inline(never)]
    pub(super) fn end_window(&self, ticks: u64) {
        let Self { bucket, gate, control, counters, .. } = self;
        let Some(_turn) = control.turn.try_lock() else {
            return raise(&control.busy_until, ticks);
        };
        // Under the turn, so that it is not older than the edge at which the window began.
        let mut edge = Edge::of_now(&bucket.clock, counters);
        // Stopped between clock and sums, it has in them what others took until then.
        edge.ticks = edge.ticks.max(control.busy_until());
        // Not by `due`, which all ticks are at the end of time.
        if edge.ticks.saturating_sub(control.from()) < control.window {
            return;
        }
        let (window, elapsed) = control.window(gate.end(), &edge, &bucket.clock);
        if control.tuning.goes_on(control.rate(), &window, elapsed) {
            return gate.set_end(control.count_from(edge.ticks));
        }
        let (change, memory) = control.decide(&window);
        let mut somebody_waits = false;
        if let Some(change) = &change {
            let quota = quota_of(change.new_rate);
            // Not every setter is here by its turn: somebody who looks at the quota holds the same lock.
            let Some(result) = bucket.core.try_set_quota(&bucket.clock, &quota) else {
                return raise(&control.busy_until, edge.ticks);
            };
            debug_assert!(result.is_ok(), "between two rates that can be kept every rate can: {change}");
            somebody_waits = result.unwrap_or_default();
            // Ordering: Relaxed, as in `rate`.
            control.rate.store(change.new_rate, Ordering::Relaxed);
            control.last.set(change);
        }
        control.remember(memory);
        control.begin(&edge);
        gate.set_end(control.count_from(edge.ticks));
        let Some(change) = change else {
            return;
        };
        if somebody_waits {
            bucket.line.wake_quietly_after_change(quota_of(change.new_rate).capacity());
        }
        // A clock that has stepped back meanwhile must not shorten the window.
        edge.ticks = bucket.clock.ticks().max(edge.ticks).max(control.busy_until());
        (edge.calls, edge.permits) = (counters.allowed(), counters.permits());
        control.begin(&edge);
        gate.set_end(control.count_from(edge.ticks));
        // All is as it shall be, so that it may use the limiter.
        if let Some(listener) = &control.listener {
            listener(&change);
        }
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control")
            .field("rate", &self.rate())
            .field("last_change", &self.last_change())
            .field("tuning", &self.tuning)
            .field("window_ticks", &self.window)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, feature = "std", not(loom)))]
mod tests;
