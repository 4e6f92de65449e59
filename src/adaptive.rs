//! The adaptive limiter: a token bucket whose rate follows from the outcomes that are reported.

mod builder;
mod change;
mod control;
mod feedback;
mod gate;
mod stats;
#[cfg(feature = "async")]
mod wait;

use ::core::fmt;
use ::core::panic::{RefUnwindSafe, UnwindSafe};
use ::core::time::Duration;

use crossbeam_utils::CachePadded;

pub use self::builder::AdaptiveRateLimiterBuilder;
pub use self::change::RateChange;
use self::control::Control;
pub use self::feedback::{CallError, Outcome};
use self::gate::Gate;
pub use self::stats::AdaptiveStats;
pub use crate::algorithm::law::{ChangeReason, Law};
use crate::clock::{Clock, MonotonicClock};
use crate::counters::Counters;
use crate::error::RateLimitExceeded;
use crate::nanos::TickLength;
use crate::quota::Quota;
use crate::token_bucket::core::View;
use crate::token_bucket::{TokenBucket, duration};

/// A token bucket that slows down when the service behind it fails, and recovers when that is healthy again.
///
/// Callers take permits as from a [`TokenBucket`], and report what came of the call: [`record`](Self::record),
/// [`observe`](Self::observe), or [`call`](Self::call), which does both. At the end of each window the [`Law`] makes
/// the next rate of what was reported in it.
///
/// # Behaviour
/// - **One change a window at most**, however many threads report, and the window ends a window's length after the last
///   change took effect: reports of calls that ran under the old rate do not cut a second time before that.
/// - A window is ended by the first call at its end or later that asks anything of the limiter: every acquire,
///   a denied one too,
///   [`current_rate`](Self::current_rate), [`stats`](Self::stats) and the other looks. There is no thread in the
///   background; a report does not end a window, and reads no clock.
/// - **Denied calls are no samples**: what was not sent says nothing about the service.
/// - **A window with fewer reported outcomes than `min_samples` changes nothing**, and they are dropped with it. Only
///   where the rate is too low to bring so many in a window, a window that has some goes on, at most for twice the time that they
///   take to come: otherwise a rate that fell so low would never recover.
/// - Rates stay within `min_rate` and `max_rate`. With `min_utilisation`, off by default, a rate does not rise where
///   it was not used.
/// - **A change keeps the level**: no free burst, no forgotten debt, and time that has passed counts at the old rate. The
///   burst is two seconds of the current rate, and at least one permit.
/// - **A server's Retry-After** ([`Outcome::Throttled`]) closes the limiter until then: every verb denies, whatever is
///   refunded, and `retry_after` and [`time_to_available`](Self::time_to_available) are the later of the reopening and the
///   bucket's own time. The latest such instant counts. A wait that begins meanwhile with a deadline that lies before
///   it is refused at once; the line keeps its order.
/// - **The burst follows the rate**, so [`ExceedsCapacity`](RateLimitExceeded::ExceedsCapacity) speaks of the current
///   rate: what is too much after a cut may be there again after a recovery.
/// - Under a clock that has stepped back, the rate stays as it is until the clock has caught up.
///
/// # Guarantee
/// While the rate stays, what a [`TokenBucket`] of the same quota guarantees. Over any interval, on any number of
/// threads, at most as many permits as one of `max_rate`.
///
/// # Choice of the window
/// It must bring `min_samples`, and be several times as long as a call takes: else calls that were sent at the old rate
/// are still answered in the next window. Under [`Law::Cubic`] it should also be short against that law's `k`.
///
/// # Progress
/// As of [`TokenBucket`]: no decision waits for another thread. The one that ends a window takes two locks, both by
/// `try_lock`; others go on at the old rate meanwhile, also if it is stopped half-way. Only if somebody waits in line
/// it takes the line's lock, to wake them. `on_change` runs with one of the two held: one call at a time and in order,
/// and no window ends before it returns. Reports are not for signal handlers.
///
/// # Memory ordering
/// None is promised, as of [`TokenBucket`].
///
/// # Complexity
/// An acquire is a bucket's, two comparisons and two additions to counters of the thread's own; a report is one
/// addition, to a word that mostly no other thread writes. Once a window, about a microsecond. Nothing allocates but
/// waking who waits.
///
/// ```
/// use sluicegate::{AdaptiveRateLimiter, ManualClock};
/// use std::time::Duration;
///
/// let clock = ManualClock::new();
/// let limiter =
///     AdaptiveRateLimiter::builder().base_rate(100.0).recovery_factor(1.5).clock(clock.clone()).build()?;
///
/// // A window in which a quarter of the calls fail halves the rate, once.
/// for call in 0..40 {
///     assert!(limiter.try_acquire().is_ok());
///     if call % 4 == 0 { limiter.record_error() } else { limiter.record_success() }
/// }
/// assert_eq!(limiter.current_rate(), 100.0);
/// clock.advance(Duration::from_secs(10));
/// assert_eq!(limiter.current_rate(), 50.0);
///
/// // Healthy ones bring it back, by half each.
/// (0..20).for_each(|_| limiter.record_success());
/// clock.advance(Duration::from_secs(10));
/// assert_eq!(limiter.current_rate(), 75.0);
///
/// // A change keeps the level: what was there are the 100 of a full burst at the old rate.
/// assert!(limiter.try_acquire_n(100).is_ok());
/// // What is not there is denied, with the exact time; and is no sample.
/// assert_eq!(limiter.try_acquire_n(15).unwrap_err().retry_after(), Some(Duration::from_millis(200)));
/// assert_eq!(limiter.stats().window_samples, 0);
/// # Ok::<(), sluicegate::ConfigError>(())
/// ```
pub struct AdaptiveRateLimiter<C: Clock = MonotonicClock> {
    bucket: TokenBucket<C>,
    gate: CachePadded<Gate>,
    control: Control,
    counters: Counters,
    /// Of a call that did not come to its end.
    abandoned: Outcome,
}

/// A panic of `on_change`'s leaves the limiter whole.
impl<C: Clock + UnwindSafe> UnwindSafe for AdaptiveRateLimiter<C> {}
/// As above.
impl<C: Clock + RefUnwindSafe> RefUnwindSafe for AdaptiveRateLimiter<C> {}

#[cfg(feature = "std")]
impl AdaptiveRateLimiter {
    /// Describes a limiter; `base_rate` is the one thing that must be said.
    ///
    /// ```
    /// use sluicegate::AdaptiveRateLimiter;
    /// use std::sync::LazyLock;
    ///
    /// static SEARCH: LazyLock<AdaptiveRateLimiter> =
    ///     LazyLock::new(|| AdaptiveRateLimiter::builder().base_rate(50.0).build().expect("the rate is in range"));
    ///
    /// assert!(SEARCH.try_acquire().is_ok());
    /// assert_eq!(AdaptiveRateLimiter::builder().build().unwrap_err().field(), "base_rate");
    /// ```
    pub fn builder() -> AdaptiveRateLimiterBuilder {
        AdaptiveRateLimiterBuilder::new(MonotonicClock::new())
    }
}

impl<C: Clock> AdaptiveRateLimiter<C> {
    /// Takes one permit, or nothing.
    ///
    /// # Errors
    /// As [`try_acquire_n`](Self::try_acquire_n).
    ///
    /// ```
    /// use sluicegate::AdaptiveRateLimiter;
    ///
    /// let limiter = AdaptiveRateLimiter::builder().base_rate(0.5).build()?;
    /// assert!(limiter.try_acquire().is_ok());
    /// assert!(limiter.try_acquire().is_err()); // the burst of so low a rate is 1
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    #[inline(always)]
    pub fn try_acquire(&self) -> Result<(), RateLimitExceeded> {
        self.try_acquire_n(1)
    }

    /// Takes `n` permits, or nothing. `n = 0` is `Ok` and takes nothing.
    ///
    /// # Errors
    /// [`Denied`](RateLimitExceeded::Denied) if they are not there now, while the limiter is closed or while somebody waits in
    /// line, with the time after which the same call succeeds, if nobody else comes and the rate stays;
    /// [`ExceedsCapacity`](RateLimitExceeded::ExceedsCapacity) if `n` is above the current burst, which a later rate may
    /// raise. Nothing was charged, and nothing written but the counters of [`stats`](Self::stats), unless a window was
    /// due.
    ///
    /// ```
    /// use sluicegate::{AdaptiveRateLimiter, ManualClock, RateLimitExceeded};
    ///
    /// let limiter = AdaptiveRateLimiter::builder().base_rate(10.0).clock(ManualClock::new()).build()?;
    /// assert_eq!(limiter.try_acquire_n(15), Ok(()));
    /// assert!(matches!(limiter.try_acquire_n(6), Err(RateLimitExceeded::Denied { .. })));
    /// assert!(matches!(limiter.try_acquire_n(21), Err(RateLimitExceeded::ExceedsCapacity { capacity: 20, .. })));
    /// assert_eq!(limiter.try_acquire_n(5), Ok(()));
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    #[inline(always)]
    pub fn try_acquire_n(&self, n: u64) -> Result<(), RateLimitExceeded> {
        if n == 0 {
            return Ok(());
        }
        let Some(result) = self.take_usually(n) else {
            return self.take_unusually_counted(n);
        };
        self.counters.record(result.is_ok(), n);
        result
    }

    /// `None` at the end of a window, while the limiter is closed, and during a change.
    #[inline(always)]
    fn take_usually(&self, n: u64) -> Option<Result<(), RateLimitExceeded>> {
        let view = self.bucket.core.look_usual(&self.bucket.clock).filter(|view| self.gate.is_open(view.ticks));
        view.and_then(|view| self.bucket.take(view, n))
    }

    /// Whether `n` permits are there, and the reading of the clock at which they are; not counted.
    #[inline(always)]
    pub(crate) fn peek(&self, n: u64) -> Result<u64, RateLimitExceeded> {
        let usual = self.bucket.core.look_usual(&self.bucket.clock);
        let usual = usual.filter(|view| self.gate.is_open(view.ticks) && view.grants(n));
        usual.map_or_else(|| self.peek_unusually(n), |view| Ok(view.ticks))
    }

    #[cold]
    #[inline(never)]
    fn peek_unusually(&self, n: u64) -> Result<u64, RateLimitExceeded> {
        let view = self.look();
        match self.time_until(&view, n)? {
            Duration::ZERO => Ok(view.ticks),
            retry_after => Err(RateLimitExceeded::Denied { retry_after }),
        }
    }

    /// Takes them at that reading, if they are still there; a call that is denied is not counted.
    #[inline(always)]
    pub(crate) fn take_at(&self, n: u64, clock: &impl Clock) -> bool {
        let view = self.bucket.core.look_usual(clock).filter(|view| self.gate.is_open(view.ticks));
        let taken = matches!(view.and_then(|view| self.bucket.take(view, n)), Some(Ok(())));
        if taken {
            self.counters.record(true, n);
        }
        taken
    }

    #[cold]
    #[inline(never)]
    fn take_unusually_counted(&self, n: u64) -> Result<(), RateLimitExceeded> {
        let result = self.take_unusually(n);
        self.counters.record(result.is_ok(), n);
        result
    }

    fn take_unusually(&self, n: u64) -> Result<(), RateLimitExceeded> {
        loop {
            let view = self.look();
            if self.gate.closed_for(view.ticks) > 0 {
                return Err(match self.time_until(&view, n) {
                    Ok(retry_after) => RateLimitExceeded::Denied { retry_after },
                    Err(never) => never,
                });
            }
            if let Some(result) = self.bucket.take(view, n) {
                return result;
            }
        }
    }

    /// The bucket, after the window was ended if it was due.
    fn look(&self) -> View {
        let view = self.bucket.core.look(&self.bucket.clock);
        if !self.gate.is_due(view.ticks) {
            return view;
        }
        self.end_window(view.ticks);
        self.bucket.core.look(&self.bucket.clock)
    }

    /// From the view's reading of the clock until `n` permits are there and the limiter is open.
    fn time_until(&self, view: &View, n: u64) -> Result<Duration, RateLimitExceeded> {
        let wait = self.bucket.time_until(view, n)?;
        let permits = self.bucket.line.demand().saturating_add(n);
        Ok(if n == 0 { wait } else { wait.max(self.closed_for(view, self.bucket.clock.tick_length(), permits)) })
    }

    /// From the view's reading until the limiter reopens and `permits` have come, of which there is one burst then at the
    /// most; zero if it is open.
    fn closed_for(&self, view: &View, length: TickLength, permits: u64) -> Duration {
        let closed = self.gate.closed_for(view.ticks);
        if closed == 0 {
            return Duration::ZERO;
        }
        let beyond = view.params.ticks_for_permits(permits.saturating_sub(view.params.capacity()));
        duration(length, closed.saturating_add(beyond))
    }

    /// Gives `n` permits back, never above the burst: what has no room is dropped. It does not reopen a closed limiter.
    ///
    /// ```
    /// use sluicegate::{AdaptiveRateLimiter, ManualClock};
    ///
    /// let limiter = AdaptiveRateLimiter::builder().base_rate(10.0).clock(ManualClock::new()).build()?;
    /// assert_eq!(limiter.try_acquire_n(20), Ok(()));
    /// limiter.refund(2);
    /// assert_eq!(limiter.available(), 2);
    /// limiter.refund(u64::MAX);
    /// assert_eq!(limiter.available(), 20);
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    #[inline]
    pub fn refund(&self, n: u64) {
        let (permits, somebody_waits) = self.bucket.put_back(n);
        self.counters.record_refund(permits);
        if somebody_waits {
            self.bucket.line.wake_head();
        }
    }

    /// The whole permits that are there now; 0 while the limiter is closed. Stale as soon as it is told. While somebody waits
    /// in line they are kept for the line, so that a `try_` verb denies all the same.
    ///
    /// ```
    /// use sluicegate::{AdaptiveRateLimiter, ManualClock};
    ///
    /// let limiter = AdaptiveRateLimiter::builder().base_rate(10.0).clock(ManualClock::new()).build()?;
    /// assert_eq!(limiter.available(), 20);
    /// assert!(limiter.try_acquire_n(20).is_ok());
    /// assert_eq!(limiter.available(), 0);
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    #[must_use]
    pub fn available(&self) -> u64 {
        let view = self.look();
        if self.gate.closed_for(view.ticks) > 0 { 0 } else { self.bucket.available_at(&view) }
    }

    /// How long until `n` permits are there and the limiter is open, if nobody else comes and the rate stays: exactly, in
    /// the clock's own nanoseconds; zero if they are there now. While others wait in line it is an estimate that counts
    /// the demand ahead.
    ///
    /// # Errors
    /// [`ExceedsCapacity`](RateLimitExceeded::ExceedsCapacity) if `n` is above the current burst.
    ///
    /// ```
    /// use sluicegate::{AdaptiveRateLimiter, ManualClock, Outcome};
    /// use std::time::Duration;
    ///
    /// let limiter = AdaptiveRateLimiter::builder().base_rate(10.0).clock(ManualClock::new()).build()?;
    /// assert!(limiter.try_acquire_n(20).is_ok());
    /// assert_eq!(limiter.time_to_available(5), Ok(Duration::from_millis(500)));
    /// limiter.record(Outcome::Throttled(Some(Duration::from_secs(3))));
    /// assert_eq!(limiter.time_to_available(5), Ok(Duration::from_secs(3)));
    /// assert!(limiter.time_to_available(21).is_err());
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    pub fn time_to_available(&self, n: u64) -> Result<Duration, RateLimitExceeded> {
        self.time_until(&self.look(), n)
    }

    /// The current rate as a quota, with the burst of two seconds that goes with it.
    ///
    /// # Blocking
    /// Waits for a change of the rate under way, `on_change` not included.
    ///
    /// ```
    /// use sluicegate::{AdaptiveRateLimiter, Quota};
    ///
    /// let limiter = AdaptiveRateLimiter::builder().base_rate(2.5).build()?;
    /// assert_eq!(limiter.quota(), Quota::from_rate(2.5).burst(5));
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    pub fn quota(&self) -> Quota {
        self.keep_up();
        self.bucket.quota()
    }

    /// Permits a second, now.
    ///
    /// ```
    /// use sluicegate::{AdaptiveRateLimiter, ManualClock};
    /// use std::time::Duration;
    ///
    /// let clock = ManualClock::new();
    /// let limiter = AdaptiveRateLimiter::builder().base_rate(100.0).min_samples(1).clock(clock.clone()).build()?;
    /// limiter.record_error();
    /// clock.advance(Duration::from_secs(9));
    /// assert_eq!(limiter.current_rate(), 100.0);
    /// clock.advance(Duration::from_secs(1)); // the end of the window: asking for the rate is enough to bring it on
    /// assert_eq!(limiter.current_rate(), 50.0);
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    #[must_use]
    pub fn current_rate(&self) -> f64 {
        self.keep_up();
        self.control.rate()
    }

    /// What was counted since the limiter was made, and what it thinks.
    ///
    /// The counters are exact, but they are read one after the other: calls under way may be in some of them.
    ///
    /// # Blocking
    /// Waits for nobody.
    ///
    /// ```
    /// use sluicegate::{AdaptiveRateLimiter, ManualClock};
    ///
    /// let limiter = AdaptiveRateLimiter::builder().base_rate(0.5).clock(ManualClock::new()).build()?;
    /// assert!(limiter.try_acquire().is_ok() && limiter.try_acquire().is_err());
    /// limiter.record_error();
    /// let stats = limiter.stats();
    /// assert_eq!((stats.allowed_requests, stats.rejected_requests), (1, 1));
    /// assert_eq!((stats.error_rate, stats.last_change), (1.0, None)); // the window is not over
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    #[must_use]
    pub fn stats(&self) -> AdaptiveStats {
        self.keep_up();
        let last_change = self.control.last_change();
        // Not one after the other: the two would not always agree.
        let current_rate = last_change.map_or_else(|| self.control.base_rate(), |change| change.new_rate);
        AdaptiveStats::new(self.counters.snapshot(), current_rate, self.control.running(&self.counters), last_change)
    }

    /// Ends the window if it is due.
    fn keep_up(&self) {
        let ticks = self.bucket.clock.ticks();
        if self.gate.is_due(ticks) {
            self.end_window(ticks);
        }
    }
}

impl<C: Clock> fmt::Debug for AdaptiveRateLimiter<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdaptiveRateLimiter")
            .field("control", &self.control)
            .field("window", &self.control.running(&self.counters))
            .field("calls", &self.counters.snapshot())
            .finish_non_exhaustive()
    }
}
