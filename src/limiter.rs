//! What every shared limiter can do, as a trait: for code that takes any of them, and for composites.

mod adapters;
mod own;

use core::time::Duration;

#[cfg(feature = "async")]
use crate::clock::Clock;
use crate::error::RateLimitExceeded;
use crate::quota::Quota;

/// A limiter that is shared: any of this crate, one of one's own, or several as one ([`all_of`](crate::all_of)).
///
/// It is implemented for [`TokenBucket`](crate::TokenBucket), [`StripedTokenBucket`](crate::StripedTokenBucket),
/// [`FixedWindowCounter`](crate::FixedWindowCounter), [`SlidingWindowCounter`](crate::SlidingWindowCounter),
/// [`AdaptiveRateLimiter`](crate::AdaptiveRateLimiter), one key of a `PerKeyRateLimiter` (`KeyRef`, `KeyHandle`), and
/// [`AllOf`](crate::AllOf); and for
///
/// | of a limiter `L` | what it is |
/// |---|---|
/// | `&L`, `Arc<L>`, `Box<L>` | the same, `dyn Limiter` too |
/// | `Option<L>` | `None` admits everything |
/// | `(L, u64)` | so many permits of `L` for each that is asked for; of none, it admits everything |
///
/// It is object-safe, so that limiters of several kinds can stand in one list.
///
/// # To implement it
/// The four required methods must agree: what [`try_acquire_n`](Self::try_acquire_n) denies was not charged, and
/// [`refund`](Self::refund) gives back what it took. `n = 0` is `Ok` and takes nothing. Whatever else comes to the trait
/// later has a default. A limiter that panics, or whose answers do not agree, harms nobody but its own callers: a composite gives
/// back what it had taken of the other ones. If its [`refund`](Self::refund) panics during that, the process ends, as by any two panics.
///
/// ```
/// use sluicegate::{Limiter, Quota, RateLimitExceeded, TokenBucket, all_of};
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use std::time::Duration;
///
/// /// So much for all time: none comes back by itself.
/// struct Budget(AtomicU64);
///
/// impl Limiter for Budget {
///     fn try_acquire_n(&self, n: u64) -> Result<(), RateLimitExceeded> {
///         let taken = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(n));
///         taken.map(drop).map_err(|left| RateLimitExceeded::ExceedsCapacity { requested: n, capacity: left })
///     }
///     fn refund(&self, n: u64) {
///         self.0.fetch_add(n, Ordering::Relaxed);
///     }
///     fn available(&self) -> u64 {
///         self.0.load(Ordering::Relaxed)
///     }
///     fn time_to_available(&self, n: u64) -> Result<Duration, RateLimitExceeded> {
///         match self.available() {
///             left if n <= left => Ok(Duration::ZERO),
///             left => Err(RateLimitExceeded::ExceedsCapacity { requested: n, capacity: left }),
///         }
///     }
/// }
///
/// let (budget, bucket) = (Budget(AtomicU64::new(5)), TokenBucket::new(Quota::per_hour(100))?);
/// let both = all_of((&bucket, &budget));
/// assert!(both.try_acquire_n(4).is_ok());
/// let never = RateLimitExceeded::ExceedsCapacity { requested: 2, capacity: 1 };
/// assert_eq!(both.try_acquire_n(2), Err(never));
/// assert_eq!((bucket.available(), both.available()), (96, 1)); // nothing was charged for that
/// assert_eq!((bucket.policy(), budget.policy()), (Some(Quota::per_hour(100)), None));
/// # Ok::<(), sluicegate::ConfigError>(())
/// ```
///
/// # To take any
/// ```
/// use sluicegate::{Limiter, ManualClock, Quota, RateLimitExceeded, TokenBucket};
/// use std::time::Duration;
///
/// /// Two permits, of whatever limits them.
/// fn take_two(limiter: &dyn Limiter) -> Result<(), RateLimitExceeded> {
///     limiter.try_acquire_n(2)
/// }
///
/// let bucket = TokenBucket::with_clock(Quota::per_second(3), ManualClock::new())?;
/// assert_eq!(take_two(&bucket), Ok(()));
/// let third_of_a_second = Duration::from_nanos(333_333_334);
/// assert_eq!(take_two(&bucket), Err(RateLimitExceeded::Denied { retry_after: third_of_a_second }));
/// assert_eq!(take_two(&None::<TokenBucket>), Ok(()));
/// // Two permits of the bucket for each: four of three never fit.
/// assert_eq!(take_two(&(&bucket, 2)), Err(RateLimitExceeded::ExceedsCapacity { requested: 2, capacity: 1 }));
/// # Ok::<(), sluicegate::ConfigError>(())
/// ```
pub trait Limiter: Send + Sync {
    /// Takes `n` permits, or nothing. Never waits. `n = 0` is `Ok` and takes nothing.
    ///
    /// # Errors
    /// [`RateLimitExceeded`]; nothing was charged.
    fn try_acquire_n(&self, n: u64) -> Result<(), RateLimitExceeded>;

    /// Gives `n` permits back, never above what there can be; what has no room is dropped.
    fn refund(&self, n: u64);

    /// The permits that are there now. Stale as soon as it is told. Where somebody waits in line they are kept for the line.
    fn available(&self) -> u64;

    /// How long until `n` permits are there, if nobody else comes; zero if they are there now. An estimate where others wait in
    /// line.
    ///
    /// # Errors
    /// [`RateLimitExceeded`] if they never will be.
    fn time_to_available(&self, n: u64) -> Result<Duration, RateLimitExceeded>;

    /// Takes one permit, or nothing.
    ///
    /// # Errors
    /// As [`try_acquire_n`](Self::try_acquire_n).
    #[inline(always)]
    fn try_acquire(&self) -> Result<(), RateLimitExceeded> {
        self.try_acquire_n(1)
    }

    /// The quota that it keeps now, for who wants to tell it; `None` where one quota does not say it: composites, and keys that
    /// may have quotas of their own. That of a window counter is its limit a window.
    ///
    /// # Blocking
    /// May wait for a change of the quota under way.
    fn policy(&self) -> Option<Quota> {
        None
    }

    /// Whether `n` permits, at least one, are there now, for a composite that then [takes](Self::composite_take) them; not
    /// counted. Together with that or not at all.
    #[doc(hidden)]
    #[inline(always)]
    fn composite_peek(&self, n: u64) -> Result<Peek, RateLimitExceeded> {
        match self.time_to_available(n)? {
            Duration::ZERO => Ok(Peek::NONE),
            retry_after => Err(RateLimitExceeded::Denied { retry_after }),
        }
    }

    /// Takes `n` permits, at least one, at the time of this limiter's own peek; should they not be there at that time, now.
    #[doc(hidden)]
    #[inline(always)]
    fn composite_take(&self, n: u64, peek: Peek) -> Result<(), RateLimitExceeded> {
        let _ = peek;
        self.try_acquire_n(n)
    }

    /// Takes `n` permits, at least one, without a look before; and tells when, for who may have to give them back.
    #[doc(hidden)]
    #[inline(always)]
    fn composite_charge(&self, n: u64) -> Result<Peek, RateLimitExceeded> {
        self.try_acquire_n(n).map(|()| Peek::NONE)
    }

    /// Gives back what was taken by that peek, or told as it; of what counts by the window, only to the window of it.
    #[doc(hidden)]
    #[inline]
    fn composite_give_back(&self, n: u64, peek: Peek) {
        let _ = peek;
        self.refund(n);
    }

    /// The clocks that a wait for it goes by.
    #[doc(hidden)]
    #[cfg(feature = "async")]
    fn composite_clocks(&self, each: &mut dyn FnMut(&dyn Clock)) {
        let _ = each;
    }
}

/// What a peek has read of the limiter's clock, so that taking does not read it once more.
///
/// A reading from before is what any clock may show: on it a limiter finds less, never more.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(unreachable_pub)]
pub struct Peek {
    reading: u64,
}

impl Peek {
    /// Of who takes by a reading of its own.
    pub(crate) const NONE: Self = Self { reading: u64::MAX };
}
