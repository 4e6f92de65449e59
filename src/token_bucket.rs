//! The exact token bucket.

mod builder;
pub(crate) mod core;
mod refusal;
#[cfg(feature = "async")]
mod wait;

use ::alloc::sync::Arc;
use ::core::fmt;
use ::core::time::Duration;

pub use self::builder::TokenBucketBuilder;
use self::core::{Commit, Core, View};
pub(crate) use self::refusal::{asked, duration, exceeds};
#[cfg(feature = "async")]
pub(crate) use self::wait::Look;
use crate::algorithm::token_bucket::{INSTANT, Scale, Take, WAIT};
use crate::clock::{Clock, MonotonicClock};
use crate::error::{ConfigError, RateLimitExceeded};
use crate::quota::Quota;
use crate::reservation::{OwnedReservation, Reservation};
use crate::stats::RateLimiterStats;
#[cfg(feature = "std")]
use crate::sync::const_fn;
use crate::wait::Line;

/// A token bucket: permits become available at a steady rate, up to a burst, and every call takes some.
///
/// All state is one 64-bit word that a compare-and-swap loop changes, so any number of threads may share a bucket
/// (by `&`, `Arc` or in a `static`) and none of them ever waits for another one.
///
/// # Guarantee
/// Over **every** interval of length `T`, on any number of threads, what was granted by the calls within it, less what
/// was given back by those that overlap it, is at most
///
/// ```text
/// burst + rate * (T + 1 ns) + debt taken on within it
/// ```
///
/// whatever the clock does: a reading that is stale, equal to another one or an hour back finds less, never more. And
/// nothing is lost: a caller that is alone is granted what exact arithmetic grants, to within the same 1 ns, at any
/// rate and any polling period. (Where a burst takes more than 18 years to fill it is 2 ns; and in the decades of a
/// bucket's life the multiplier's last bit adds up to half a nanosecond, or one there.)
///
/// The word counts time for 36 years after the bucket's first call, and for 18 after a change of quota; 2^61 ticks of
/// the clock where that is less (28 years of a counter of 2.6 GHz). Then no more permits come.
///
/// # Progress
/// Every verb that takes, gives back or looks is lock-free, a change of quota under way included. A denial writes
/// nothing. Nothing allocates after construction. [`set_quota`](Self::set_quota) and [`quota`](Self::quota) take a
/// lock that no other verb takes.
///
/// # Memory ordering
/// None is promised: a granted permit does not publish what another thread did before it. The word is self-contained.
///
/// # Complexity
/// Constant, apart from retries of the compare-and-swap when threads collide. A bucket is 512 bytes, so that its
/// word has a cache line to itself and its parameters share one that is only read.
///
/// # Source
/// The leaky bucket as a meter (J. Turner, "New directions in communications", IEEE Communications Magazine 24(10),
/// 1986), in the form of ITU-T I.371's virtual scheduling algorithm, whose theoretical arrival time is kept here as
/// the instant at which the bucket is empty.
///
/// ```
/// use sluicegate::{Quota, RateLimitExceeded, TokenBucket};
///
/// static UPLOADS: TokenBucket = TokenBucket::const_new(Quota::per_minute(60).burst(5));
///
/// assert_eq!(UPLOADS.try_acquire_n(5), Ok(()));
/// match UPLOADS.try_acquire() {
///     Err(RateLimitExceeded::Denied { retry_after }) => assert!(retry_after.as_secs_f64() <= 1.0),
///     other => unreachable!("the burst is spent: {other:?}"),
/// }
/// ```
pub struct TokenBucket<C: Clock = MonotonicClock> {
    pub(crate) core: Core,
    pub(crate) line: Line,
    pub(crate) clock: C,
}

#[cfg(feature = "std")]
impl TokenBucket {
    const_fn! {
        /// A full bucket on the [`MonotonicClock`].
        ///
        /// # Errors
        /// [`ConfigError`] if no bucket can keep `quota`: see [`Quota`].
        ///
        /// ```
        /// use sluicegate::{Quota, TokenBucket};
        ///
        /// let bucket = TokenBucket::new(Quota::per_second(100))?;
        /// assert_eq!(bucket.available(), 100);
        /// assert_eq!(TokenBucket::new(Quota::per_second(0)).unwrap_err().field(), "permits");
        /// # Ok::<(), sluicegate::ConfigError>(())
        /// ```
        pub const fn new(quota: Quota) -> Result<Self, ConfigError> {
            match Scale::finest(&quota) {
                Ok(scale) => Ok(Self {
                    core: Core::unstarted(quota, scale),
                    line: Line::new(),
                    clock: MonotonicClock::new(),
                }),
                Err(error) => Err(error),
            }
        }
    }

    const_fn! {
        /// [`new`](Self::new) for a `static`: an unusable quota fails to compile.
        ///
        /// # Panics
        /// If no bucket can keep `quota`; in a `static` or `const` that is a compile error with the same words. Outside
        /// of those use [`new`](Self::new).
        ///
        /// ```
        /// use sluicegate::{Quota, TokenBucket};
        ///
        /// static LIMIT: TokenBucket = TokenBucket::const_new(Quota::per_second(5_000));
        /// assert!(LIMIT.try_acquire().is_ok());
        /// ```
        ///
        /// ```compile_fail
        /// use sluicegate::{Quota, TokenBucket};
        ///
        /// static LIMIT: TokenBucket = TokenBucket::const_new(Quota::per_second(0));
        /// ```
        pub const fn const_new(quota: Quota) -> Self {
            match Scale::finest(&quota) {
                Ok(scale) => Self {
                    core: Core::unstarted(quota, scale),
                    line: Line::new(),
                    clock: MonotonicClock::new(),
                },
                Err(error) => panic!("{}", error.message()),
            }
        }
    }

    /// A bucket with more to say: another clock, fewer permits at first, statistics.
    ///
    /// ```
    /// use sluicegate::{Quota, TokenBucket};
    ///
    /// let bucket = TokenBucket::builder(Quota::per_second(100)).initial(0).stats().build()?;
    /// assert!(bucket.stats().is_some());
    /// assert!(TokenBucket::builder(Quota::per_second(100)).initial(101).build().is_err());
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    pub fn builder(quota: Quota) -> TokenBucketBuilder {
        TokenBucketBuilder::new(quota, MonotonicClock::new())
    }
}

impl<C: Clock> TokenBucket<C> {
    /// A full bucket on a clock of the caller's.
    ///
    /// # Errors
    /// [`ConfigError`] if no bucket can keep `quota`: see [`Quota`].
    ///
    /// ```
    /// use sluicegate::{ManualClock, Quota, TokenBucket};
    ///
    /// let bucket = TokenBucket::with_clock(Quota::per_second(2), ManualClock::new())?;
    /// assert_eq!(bucket.try_acquire_n(2), Ok(()));
    /// assert!(TokenBucket::with_clock(Quota::per_second(2).burst(0), ManualClock::new()).is_err());
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    pub fn with_clock(quota: Quota, clock: C) -> Result<Self, ConfigError> {
        let scale = Scale::finest(&quota)?;
        Ok(Self { core: Core::unstarted(quota, scale), line: Line::new(), clock })
    }

    /// Takes one permit, or nothing.
    ///
    /// # Errors
    /// [`Denied`](RateLimitExceeded::Denied) with the exact time after which the same call succeeds, if nobody else
    /// comes; while somebody waits in line with an estimate, for nobody overtakes. Nothing was charged, and nothing
    /// written.
    ///
    /// ```
    /// use sluicegate::{ManualClock, Quota, TokenBucket};
    /// use std::time::Duration;
    ///
    /// let bucket = TokenBucket::with_clock(Quota::per_second(1), ManualClock::new())?;
    /// assert!(bucket.try_acquire().is_ok());
    /// let denied = bucket.try_acquire().unwrap_err();
    /// assert_eq!(denied.retry_after(), Some(Duration::from_secs(1)));
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    #[inline(always)]
    pub fn try_acquire(&self) -> Result<(), RateLimitExceeded> {
        self.try_acquire_n(1)
    }

    /// Takes `n` permits, or nothing. `n = 0` is `Ok` and takes nothing.
    ///
    /// # Errors
    /// [`Denied`](RateLimitExceeded::Denied) if they are not there now, or while somebody waits in line;
    /// [`ExceedsCapacity`](RateLimitExceeded::ExceedsCapacity) if `n` is above the burst, so that they never will be.
    /// Nothing was charged, and nothing written.
    ///
    /// ```
    /// use sluicegate::{ManualClock, Quota, RateLimitExceeded, TokenBucket};
    ///
    /// let bucket = TokenBucket::with_clock(Quota::per_second(10), ManualClock::new())?;
    /// assert_eq!(bucket.try_acquire_n(8), Ok(()));
    /// assert!(matches!(bucket.try_acquire_n(3), Err(RateLimitExceeded::Denied { .. })));
    /// assert!(matches!(bucket.try_acquire_n(11), Err(RateLimitExceeded::ExceedsCapacity { .. })));
    /// assert_eq!(bucket.try_acquire_n(2), Ok(())); // the two are still there
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    #[inline(always)]
    pub fn try_acquire_n(&self, n: u64) -> Result<(), RateLimitExceeded> {
        if n == 0 {
            return Ok(());
        }
        let result = self.take_uncounted(n);
        self.core.count(result.is_ok());
        result
    }

    #[inline(always)]
    pub(crate) fn take_uncounted(&self, n: u64) -> Result<(), RateLimitExceeded> {
        let usual = self.core.look_usual(&self.clock).and_then(|view| self.take(view, n));
        usual.unwrap_or_else(|| self.take_during_change(n))
    }

    /// Whether `n` permits are there, and the reading of the clock at which they are; not counted.
    #[inline(always)]
    pub(crate) fn peek(&self, n: u64) -> Result<u64, RateLimitExceeded> {
        let view = self.core.look(&self.clock);
        if view.grants(n) { Ok(view.ticks) } else { Err(self.refuse(&view, n)) }
    }

    /// Takes them at that reading, if they are still there; a call that is denied is not counted.
    #[inline(always)]
    pub(crate) fn take_at(&self, n: u64, clock: &impl Clock) -> bool {
        let usual = self.core.look_usual(clock).and_then(|view| self.take(view, n));
        let taken = matches!(usual, Some(Ok(())));
        if taken {
            self.core.count(true);
        }
        taken
    }

    /// Takes as many of `n` permits as there are, and tells how many: from 0 to `n`.
    ///
    /// ```
    /// use sluicegate::{ManualClock, Quota, TokenBucket};
    ///
    /// let bucket = TokenBucket::with_clock(Quota::per_second(10), ManualClock::new())?;
    /// assert_eq!(bucket.try_acquire_up_to(7), 7);
    /// assert_eq!(bucket.try_acquire_up_to(7), 3);
    /// assert_eq!(bucket.try_acquire_up_to(7), 0);
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    #[must_use = "the permits are taken, and this is how many"]
    #[inline]
    pub fn try_acquire_up_to(&self, n: u64) -> u64 {
        if n == 0 {
            return 0;
        }
        let taken = self.core.update(&self.clock, |params, instant, ticks| params.take_up_to(instant, ticks, n));
        self.core.count(taken > 0);
        taken
    }

    /// Gives `n` permits back, never above the burst: what has no room is dropped.
    ///
    /// ```
    /// use sluicegate::{ManualClock, Quota, TokenBucket};
    ///
    /// let bucket = TokenBucket::with_clock(Quota::per_second(10), ManualClock::new())?;
    /// assert_eq!(bucket.try_acquire_n(4), Ok(()));
    /// bucket.refund(1);
    /// assert_eq!(bucket.available(), 7);
    /// bucket.refund(u64::MAX);
    /// assert_eq!(bucket.available(), 10);
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    #[inline]
    pub fn refund(&self, n: u64) {
        if self.put_back(n).1 {
            self.line.wake_head();
        }
    }

    /// Gives back, and tells how many whole permits had room, and whether the head is to be woken.
    #[inline]
    pub(crate) fn put_back(&self, n: u64) -> (u64, bool) {
        self.put_back_by(n, |units, shift| units >> shift)
    }

    /// The same, with the permits counted as `count` does: of units, and the shift that makes a permit of them.
    #[inline]
    pub(crate) fn put_back_by(&self, n: u64, count: impl Fn(u64, u32) -> u64) -> (u64, bool) {
        self.core.update(&self.clock, |params, word, ticks| {
            let instant = word & INSTANT;
            match params.give_back(instant, ticks, n) {
                Some(next) => ((count(instant - next, params.shift()), word & WAIT != 0), Some(next | word & WAIT)),
                None => ((0, false), None),
            }
        })
    }

    /// Charges `n` permits without asking, into debt if they are not there, and tells how many were charged: all,
    /// unless the debt would pass one burst.
    ///
    /// For costs that are known only afterwards. The debt is repaid before anything else is granted.
    ///
    /// ```
    /// use sluicegate::{ManualClock, Quota, TokenBucket};
    /// use std::time::Duration;
    ///
    /// let bucket = TokenBucket::with_clock(Quota::per_second(10), ManualClock::new())?;
    /// assert_eq!(bucket.charge(15), 15);
    /// // Five are owed; the next one is there when they are repaid and it has come.
    /// assert_eq!(bucket.time_to_available(1), Ok(Duration::from_millis(600)));
    /// assert_eq!(bucket.charge(15), 5); // now ten are owed, one burst: the limit
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    #[inline]
    pub fn charge(&self, n: u64) -> u64 {
        self.core.update(&self.clock, |params, word, ticks| {
            let (charged, next) = params.charge(word & INSTANT, ticks, n);
            (charged, next.map(|next| next | word & WAIT))
        })
    }

    /// Takes `n` permits on an estimate, to be settled when the actual cost is known: see [`Reservation`].
    ///
    /// # Errors
    /// As [`try_acquire_n`](Self::try_acquire_n).
    ///
    /// ```
    /// use sluicegate::{ManualClock, Quota, TokenBucket};
    ///
    /// let bucket = TokenBucket::with_clock(Quota::per_second(100), ManualClock::new())?;
    /// let reservation = bucket.try_reserve(80).expect("they are there");
    /// assert!(bucket.try_reserve(80).is_err());
    /// assert_eq!(reservation.commit(30), 30);
    /// assert_eq!(bucket.available(), 70);
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    #[inline]
    pub fn try_reserve(&self, n: u64) -> Result<Reservation<'_, C>, RateLimitExceeded> {
        self.try_acquire_n(n)?;
        Ok(Reservation::new(self, n))
    }

    /// Takes `n` permits on an estimate, with a share of the bucket, so that the reservation may be moved into a task or
    /// kept: see [`OwnedReservation`].
    ///
    /// # Errors
    /// As [`try_acquire_n`](Self::try_acquire_n).
    ///
    /// ```
    /// use sluicegate::{OwnedReservation, Quota, TokenBucket};
    /// use std::sync::Arc;
    ///
    /// let bucket = Arc::new(TokenBucket::new(Quota::per_hour(100))?);
    /// let reservation: OwnedReservation = Arc::clone(&bucket).try_reserve_owned(80).expect("they are there");
    /// assert!(Arc::clone(&bucket).try_reserve_owned(80).is_err());
    /// reservation.cancel();
    /// assert_eq!(bucket.available(), 100);
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    #[inline]
    pub fn try_reserve_owned(self: Arc<Self>, n: u64) -> Result<OwnedReservation<C>, RateLimitExceeded> {
        self.try_acquire_n(n)?;
        Ok(OwnedReservation::new(self, n))
    }

    /// The whole permits that are there now; 0 in debt. Stale as soon as it is told. While somebody waits in line they are
    /// kept for the line, so that a `try_` verb denies all the same.
    ///
    /// ```
    /// use sluicegate::{ManualClock, Quota, TokenBucket};
    /// use std::time::Duration;
    ///
    /// let clock = ManualClock::new();
    /// let bucket = TokenBucket::with_clock(Quota::per_second(10), clock.clone())?;
    /// bucket.charge(11);
    /// assert_eq!(bucket.available(), 0);
    /// clock.advance(Duration::from_millis(399));
    /// assert_eq!(bucket.available(), 2);
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    #[must_use]
    #[inline]
    pub fn available(&self) -> u64 {
        self.available_at(&self.core.look(&self.clock))
    }

    /// How long until `n` permits are there, if nobody else comes: exactly, in the clock's own nanoseconds; zero if
    /// they are there now, and `Duration::MAX` where that lies beyond the bucket's horizon. While others wait in line it is
    /// an estimate that counts the demand ahead, and never zero.
    ///
    /// # Errors
    /// [`ExceedsCapacity`](RateLimitExceeded::ExceedsCapacity) if `n` is above the burst, so that they never will be.
    ///
    /// ```
    /// use sluicegate::{ManualClock, Quota, TokenBucket};
    /// use std::time::Duration;
    ///
    /// let bucket = TokenBucket::with_clock(Quota::per_second(10), ManualClock::new())?;
    /// assert_eq!(bucket.time_to_available(10), Ok(Duration::ZERO));
    /// bucket.charge(10);
    /// assert_eq!(bucket.time_to_available(3), Ok(Duration::from_millis(300)));
    /// assert!(bucket.time_to_available(11).is_err());
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    #[inline]
    pub fn time_to_available(&self, n: u64) -> Result<Duration, RateLimitExceeded> {
        self.time_until(&self.core.look(&self.clock), n)
    }

    /// The quota last set, as it was given.
    ///
    /// # Blocking
    /// Waits for a [`set_quota`](Self::set_quota) under way.
    ///
    /// ```
    /// use sluicegate::{Quota, TokenBucket};
    ///
    /// let bucket = TokenBucket::new(Quota::per_minute(60).burst(5))?;
    /// assert_eq!(bucket.quota(), Quota::per_minute(60).burst(5));
    /// assert_ne!(bucket.quota(), Quota::per_second(1).burst(5)); // as fast, but not as it was given
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    pub fn quota(&self) -> Quota {
        self.core.quota()
    }

    /// Changes the quota while the bucket is in use.
    ///
    /// What is available, or owed, stays the same number of permits with its fraction, either cut to one new burst.
    /// Time that has passed counts at the old rate. A larger burst does not arrive filled: it fills at the new rate.
    /// A call that runs at the same moment is charged wholly under the old quota or wholly under the new one. Who waits in
    /// line keeps its place; who waits for more than the new burst is told
    /// [`ExceedsCapacity`](RateLimitExceeded::ExceedsCapacity).
    ///
    /// # Errors
    /// [`ConfigError`] if no bucket can keep `quota`; then the old one stands.
    ///
    /// # Blocking
    /// Waits for another setter; acquirers are never blocked, also not by a setter that is stopped half-way.
    ///
    /// # Accuracy
    /// What has accrued is rounded down to one unit of the old and one of the new scale: less than 1 ns worth each
    /// (2 ns where a burst takes more than 18 years to fill).
    /// Under a clock that has stepped back, the time in which one burst fills at the old rate may count at the new one.
    ///
    /// ```
    /// use sluicegate::{ManualClock, Quota, TokenBucket};
    ///
    /// let bucket = TokenBucket::with_clock(Quota::per_second(10), ManualClock::new())?;
    /// assert!(bucket.try_acquire_n(4).is_ok());
    ///
    /// bucket.set_quota(Quota::per_second(1_000))?;
    /// assert_eq!(bucket.available(), 6); // not 1,000
    /// bucket.set_quota(Quota::per_second(5))?;
    /// assert_eq!(bucket.available(), 5); // cut to the new burst
    ///
    /// assert!(bucket.set_quota(Quota::per_second(0)).is_err());
    /// assert_eq!(bucket.quota(), Quota::per_second(5));
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    pub fn set_quota(&self, quota: Quota) -> Result<(), ConfigError> {
        if self.core.set_quota(&self.clock, &quota)? {
            self.line.wake_after_change(quota.capacity());
        }
        Ok(())
    }

    /// What the bucket counted; `None` unless it was built with [`stats`](TokenBucketBuilder::stats).
    ///
    /// The counters are exact, but they are read one after the other: calls under way may be in some of them.
    ///
    /// ```
    /// use sluicegate::{ManualClock, Quota, TokenBucket};
    ///
    /// let bucket = TokenBucket::builder(Quota::per_second(3)).clock(ManualClock::new()).stats().build()?;
    /// assert!(bucket.try_acquire_n(2).is_ok() && bucket.try_acquire_n(2).is_err());
    /// let stats = bucket.stats().expect("built with .stats()");
    /// assert_eq!((stats.allowed_requests, stats.rejected_requests), (1, 1)); // calls, not permits
    /// assert_eq!(TokenBucket::new(Quota::per_second(3))?.stats(), None);
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    #[must_use]
    pub fn stats(&self) -> Option<RateLimiterStats> {
        self.core.stats()
    }

    /// The whole permits that were there when the view was taken.
    pub(crate) fn available_at(&self, view: &View) -> u64 {
        view.params.available(view.instant & INSTANT, view.ticks)
    }

    /// Takes `n` permits on a view of the state; `None` if that is out of date.
    #[inline(always)]
    pub(crate) fn take(&self, mut view: View, n: u64) -> Option<Result<(), RateLimitExceeded>> {
        loop {
            match view.params.take(view.instant, view.ticks, n) {
                Take::Granted(next) => match self.core.commit(&mut view, next) {
                    Commit::Done => return Some(Ok(())),
                    Commit::Again => {}
                    Commit::Stale => return None,
                },
                refusal => return Some(Err(self.refused(refusal, &view, n))),
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn take_during_change(&self, n: u64) -> Result<(), RateLimitExceeded> {
        loop {
            if let Some(result) = self.take(self.core.look_again(&self.clock), n) {
                return result;
            }
        }
    }
}

/// Where the way that is not taken often begins, so that the other one is straight.
#[cold]
#[inline]
pub(crate) fn unusual() {}

impl<C: Clock> fmt::Debug for TokenBucket<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenBucket")
            .field("quota", &self.quota())
            .field("available", &self.available())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
