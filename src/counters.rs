//! Counters in stripes, so that counting does not contend: a thread that has a number of its own adds without a locked
//! instruction, to words that nobody else writes.

mod counting;

use alloc::boxed::Box;
use core::time::Duration;

use crossbeam_utils::CachePadded;

pub(crate) use self::counting::Counting;
#[cfg(feature = "per-key")]
pub(crate) use self::counting::{KeyCounting, KeyTally};
use crate::stats::RateLimiterStats;
use crate::sync::{AtomicU64, Ordering, UnmodelledU64};
use crate::thread_number;

/// What was counted.
#[derive(Debug)]
struct Tally {
    /// Outcomes that were reported: a law decides by them, so the models explore what is seen of them.
    successes: AtomicU64,
    errors: AtomicU64,
    allowed: UnmodelledU64,
    rejected: UnmodelledU64,
    /// What was taken, less what was given back.
    permits: UnmodelledU64,
    /// Nanoseconds.
    waited: UnmodelledU64,
}

/// A cache line, written mostly by one core.
#[derive(Debug)]
struct Stripe {
    /// Written by the one thread whose number the stripe has.
    own: Tally,
    /// Written by all threads for whom there is no stripe.
    shared: Tally,
}

/// Counters of one limiter, four stripes a core.
#[derive(Debug)]
pub(crate) struct Counters {
    /// A power of two of them.
    stripes: Box<[CachePadded<Stripe>]>,
}

/// Reported outcomes, all together or from one moment to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcomes {
    pub(crate) successes: u64,
    pub(crate) errors: u64,
}

impl Outcomes {
    /// Those since `before`.
    pub(crate) const fn since(self, before: Self) -> Self {
        Self {
            successes: self.successes.wrapping_sub(before.successes),
            errors: self.errors.wrapping_sub(before.errors),
        }
    }

    pub(crate) const fn samples(self) -> u64 {
        self.successes.saturating_add(self.errors)
    }
}

/// A thread's right to count, and where.
struct Writer<'a> {
    tally: &'a Tally,
    is_own: bool,
}

/// An addition to a counter by a [`Writer`].
macro_rules! add {
    ($writer:expr, $counter:ident, $amount:expr) => {{
        let (counter, amount) = (&$writer.tally.$counter, $amount);
        if $writer.is_own {
            // Ordering: Relaxed; nobody else writes it while this thread has its number, and who has the number next
            // sees what was written before (`thread_number`).
            let count = counter.load(Ordering::Relaxed);
            // Ordering: Relaxed, as above.
            counter.store(count.wrapping_add(amount), Ordering::Relaxed);
        } else {
            // Ordering: Relaxed; a counter publishes nothing, and a single location never loses an addition.
            counter.fetch_add(amount, Ordering::Relaxed);
        }
    }};
}

/// The sum of a counter over all stripes.
macro_rules! sum {
    ($counters:expr, $counter:ident) => {
        $counters.stripes.iter().flat_map(|stripe| [&stripe.own, &stripe.shared]).fold(0_u64, |sum, tally| {
            // Ordering: Relaxed; each counter is exact, their sum is of no single instant. What is known to this thread
            // is in it.
            sum.wrapping_add(tally.$counter.load(Ordering::Relaxed))
        })
    };
}

impl Tally {
    fn new() -> Self {
        let (modelled, zero) = (|| AtomicU64::new(0), || UnmodelledU64::new(0));
        Self {
            successes: modelled(),
            errors: modelled(),
            allowed: zero(),
            rejected: zero(),
            permits: zero(),
            waited: zero(),
        }
    }
}

impl Counters {
    pub(crate) fn new() -> Self {
        let stripe = || CachePadded::new(Stripe { own: Tally::new(), shared: Tally::new() });
        Self { stripes: (0..stripe_count()).map(|_| stripe()).collect() }
    }

    /// Counts one call, and the permits that it took if they are of interest.
    ///
    /// Out of line: that keeps the calls that are not counted small, and those that are from computing a `retry_after`
    /// that nobody reads.
    #[inline(never)]
    pub(crate) fn record(&self, allowed: bool, permits: u64) {
        let writer = self.writer();
        if allowed {
            add!(writer, allowed, 1);
            if permits > 0 {
                add!(writer, permits, permits);
            }
        } else {
            add!(writer, rejected, 1);
        }
    }

    /// Counts one call that may have waited, and the permits that it took.
    #[cfg(feature = "async")]
    pub(crate) fn record_wait(&self, allowed: bool, permits: u64, waited: Duration) {
        self.record(allowed, permits);
        let nanos = u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX);
        add!(self.writer(), waited, nanos);
    }

    /// Takes permits that were given back off what was taken.
    pub(crate) fn record_refund(&self, permits: u64) {
        add!(self.writer(), permits, permits.wrapping_neg());
    }

    /// Counts what came of a call: one addition to one word.
    #[inline(always)]
    pub(crate) fn report(&self, is_success: bool) {
        let writer = self.writer();
        if is_success {
            add!(writer, successes, 1);
        } else {
            add!(writer, errors, 1);
        }
    }

    /// All that was ever reported.
    pub(crate) fn outcomes(&self) -> Outcomes {
        Outcomes { successes: sum!(self, successes), errors: sum!(self, errors) }
    }

    #[inline(always)]
    fn writer(&self) -> Writer<'_> {
        let number = thread_number::get();
        let stripe = &self.stripes[number & (self.stripes.len() - 1)];
        let is_own = number < self.stripes.len();
        Writer { tally: if is_own { &stripe.own } else { &stripe.shared }, is_own }
    }

    /// The calls that were allowed.
    pub(crate) fn allowed(&self) -> u64 {
        sum!(self, allowed)
    }

    /// The permits that were taken, less those that were given back.
    pub(crate) fn permits(&self) -> u64 {
        sum!(self, permits)
    }

    /// The sums over all stripes. Calls under way may or may not be in them.
    pub(crate) fn snapshot(&self) -> RateLimiterStats {
        let allowed = self.allowed();
        let rejected = sum!(self, rejected);
        RateLimiterStats {
            total_requests: allowed.wrapping_add(rejected),
            allowed_requests: allowed,
            rejected_requests: rejected,
            total_wait_time: Duration::from_nanos(sum!(self, waited)),
        }
    }
}

#[cfg(all(feature = "std", not(any(loom, shuttle))))]
pub(crate) fn stripe_count() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, core::num::NonZero::get);
    cores.saturating_mul(4).min(64).next_power_of_two()
}

#[cfg(not(all(feature = "std", not(any(loom, shuttle)))))]
pub(crate) fn stripe_count() -> usize {
    1
}

#[cfg(all(test, feature = "std", not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use std::sync::Barrier;

    /// Kills: permits that were given back and stay counted.
    #[test]
    fn what_is_given_back_was_not_taken() {
        let counters = Counters::new();
        counters.record(true, 5);
        counters.record(false, 7);
        counters.record_refund(2);
        assert_eq!((counters.permits(), counters.allowed()), (3, 1));
    }

    /// Kills: one thread too many, or too few, that count as if they had a stripe.
    #[test]
    fn as_many_threads_own_a_stripe_as_there_are() {
        let counters = Counters::new();
        let stripes = counters.stripes.len();
        let all = Barrier::new(2 * stripes);
        std::thread::scope(|scope| {
            for _ in 0..2 * stripes {
                scope.spawn(|| {
                    let (number, writer) = (thread_number::tests::own(), counters.writer());
                    // While all are there, no number is any other's.
                    all.wait();
                    let stripe = &counters.stripes[number % stripes];
                    let is = |tally| core::ptr::eq(writer.tally, tally);
                    assert_eq!(
                        (writer.is_own, is(&stripe.own), is(&stripe.shared)),
                        (number < stripes, number < stripes, number >= stripes)
                    );
                });
            }
        });
    }
}
