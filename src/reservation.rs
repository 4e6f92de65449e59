//! Permits taken on an estimate, and settled when the cost is known.

use alloc::sync::Arc;
use core::cmp::Ordering::{Equal, Greater, Less};
use core::fmt;
#[cfg(feature = "async")]
use core::future::Future;
#[cfg(feature = "per-key")]
use core::hash::Hash;
use core::ops::Deref;
#[cfg(feature = "async")]
use core::pin::Pin;
#[cfg(feature = "async")]
use core::task::{Context, Poll, ready};

use crate::clock::{Clock, MonotonicClock};
#[cfg(feature = "async")]
use crate::error::RateLimitExceeded;
#[cfg(feature = "per-key")]
use crate::per_key::User;
use crate::token_bucket::TokenBucket;
#[cfg(feature = "async")]
use crate::wait::Acquire;

/// Permits of a bucket, until they are given back; `None` once it is settled.
struct Held<B, C>
where
    B: Deref<Target = TokenBucket<C>>,
    C: Clock,
{
    bucket: B,
    permits: Option<u64>,
}

impl<B: Deref<Target = TokenBucket<C>>, C: Clock> Held<B, C> {
    fn settle(&mut self, actual: u64) -> u64 {
        let Some(permits) = self.permits.take() else {
            return 0;
        };
        match actual.cmp(&permits) {
            Less => self.bucket.refund(permits - actual),
            Equal => {}
            Greater => return permits + self.bucket.charge(actual - permits),
        }
        actual
    }
}

impl<B: Deref<Target = TokenBucket<C>>, C: Clock> Drop for Held<B, C> {
    fn drop(&mut self) {
        self.settle(0);
    }
}

macro_rules! reservation {
    ($(#[$attribute:meta])* $Reservation:ident $(<$lifetime:lifetime>)? $(<$Key:ident>)?, $Bucket:ty) => {
        $(#[$attribute])*
        #[must_use = "dropped at once it gives its permits back at once"]
        pub struct $Reservation<$($lifetime,)? $($Key: Eq + Hash,)? C: Clock = MonotonicClock>(Held<$Bucket, C>);

        impl<$($lifetime,)? $($Key: Eq + Hash,)? C: Clock> $Reservation<$($lifetime,)? $($Key,)? C> {
            pub(crate) fn new(bucket: $Bucket, permits: u64) -> Self {
                Self(Held { bucket, permits: Some(permits) })
            }

            /// The permits that were taken.
            #[must_use]
            pub fn permits(&self) -> u64 {
                self.0.permits.unwrap_or(0)
            }

            /// Settles: what was not needed goes back, never above the burst; what was needed more becomes debt, which is
            /// repaid before anything else is granted. Returns what was charged: less than `actual` only where the debt
            /// reached its limit, one burst.
            pub fn commit(mut self, actual: u64) -> u64 {
                self.0.settle(actual)
            }

            /// Gives everything back; so does dropping it.
            pub fn cancel(self) {}
        }

        impl<$($lifetime,)? $($Key: Eq + Hash,)? C: Clock> fmt::Debug for $Reservation<$($lifetime,)? $($Key,)? C> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($Reservation)).field("permits", &Self::permits(self)).finish_non_exhaustive()
            }
        }
    };
}

reservation! {
    /// Permits that were taken on an estimate: made by [`TokenBucket::try_reserve`], and settled when the actual cost is
    /// known. Dropped, it gives them back.
    ///
    /// Over any interval the bucket grants what it always does, and debt that was taken on within it; see
    /// [`TokenBucket`]'s guarantee.
    ///
    /// ```
    /// use sluicegate::{ManualClock, Quota, TokenBucket};
    ///
    /// let tokens = TokenBucket::with_clock(Quota::per_minute(1_000), ManualClock::new())?;
    ///
    /// // A request is expected to cost 600 tokens; it costs 450.
    /// let reservation = tokens.try_reserve(600).expect("they are there");
    /// assert_eq!((reservation.permits(), tokens.available()), (600, 400));
    /// assert_eq!(reservation.commit(450), 450);
    /// assert_eq!(tokens.available(), 550);
    ///
    /// // One that fails before it costs anything gives all back: so does dropping it.
    /// tokens.try_reserve(500).expect("they are there").cancel();
    /// assert_eq!(tokens.available(), 550);
    ///
    /// // One that costs more than there is leaves debt, a burst of it at most.
    /// let reservation = tokens.try_reserve(500).expect("they are there");
    /// assert_eq!(reservation.commit(5_000), 1_550);
    /// assert!(tokens.try_reserve(1).is_err());
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    Reservation<'a>, &'a TokenBucket<C>
}

reservation! {
    /// A [`Reservation`] that owns its share of the bucket, to be moved into a task or kept: made by
    /// [`TokenBucket::try_reserve_owned`].
    ///
    /// ```
    /// use sluicegate::{Quota, TokenBucket};
    /// use std::sync::Arc;
    ///
    /// let bytes = Arc::new(TokenBucket::new(Quota::per_hour(1_000))?);
    /// let reservation = Arc::clone(&bytes).try_reserve_owned(800).expect("they are there");
    /// let upload = std::thread::spawn(move || reservation.commit(700));
    /// assert_eq!(upload.join().expect("no panic"), 700);
    /// assert_eq!(bytes.available(), 300);
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    OwnedReservation, Arc<TokenBucket<C>>
}

#[cfg(feature = "per-key")]
reservation! {
    /// A [`Reservation`] from a key's own bucket, with a share of that: made by
    /// [`KeyHandle::try_reserve_owned`](crate::KeyHandle::try_reserve_owned).
    ///
    /// ```
    /// use sluicegate::{OwnedKeyReservation, PerKeyRateLimiter, Quota};
    ///
    /// let tokens: PerKeyRateLimiter<String> = PerKeyRateLimiter::new(Quota::per_hour(1_000))?;
    /// let reservation: OwnedKeyReservation<String> =
    ///     tokens.handle("acme".to_owned()).try_reserve_owned(800).expect("they are there");
    /// assert!(tokens.try_acquire_n("acme", 300).is_err());
    /// assert_eq!(reservation.commit(650), 650);
    /// assert!(tokens.try_acquire_n("acme", 300).is_ok());
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    OwnedKeyReservation<K>, User<K, C>
}

/// The future of [`TokenBucket::reserve`].
///
/// # Cancel safety
/// Dropped before it is ready it leaves the line, and nothing was charged.
///
/// ```
/// use sluicegate::{Quota, Reserve, TokenBucket};
///
/// let bucket = TokenBucket::new(Quota::per_hour(100))?;
/// let reserve: Reserve<'_> = bucket.reserve(80);
/// let reservation = futures_lite::future::block_on(reserve).expect("they are there");
/// assert_eq!((reservation.permits(), bucket.available()), (80, 20));
/// assert!(futures_lite::future::block_on(bucket.reserve(101)).is_err()); // more than ever fits
/// # Ok::<(), sluicegate::ConfigError>(())
/// ```
#[cfg(feature = "async")]
#[must_use = "futures do nothing unless they are polled"]
pub struct Reserve<'a, C: Clock = MonotonicClock> {
    bucket: &'a TokenBucket<C>,
    permits: u64,
    acquire: Acquire<'a, C>,
}

#[cfg(feature = "async")]
impl<'a, C: Clock> Reserve<'a, C> {
    pub(crate) fn new(bucket: &'a TokenBucket<C>, permits: u64) -> Self {
        Self { bucket, permits, acquire: Acquire::new(bucket, permits, None) }
    }
}

#[cfg(feature = "async")]
impl<'a, C: Clock> Future for Reserve<'a, C> {
    type Output = Result<Reservation<'a, C>, RateLimitExceeded>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        ready!(Pin::new(&mut self.acquire).poll(context))?;
        Poll::Ready(Ok(Reservation::new(self.bucket, self.permits)))
    }
}

#[cfg(feature = "async")]
impl<C: Clock> fmt::Debug for Reserve<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reserve").field("acquire", &self.acquire).finish_non_exhaustive()
    }
}

#[cfg(all(test, feature = "std", not(any(loom, shuttle))))]
mod tests {
    use crate::clock::ManualClock;
    use crate::quota::Quota;
    use crate::token_bucket::TokenBucket;

    /// A cost that is less, as much and more than what was reserved. Kills: the difference settled in any other way.
    #[test]
    fn a_reservation_is_settled_to_the_permit() {
        let bucket = TokenBucket::with_clock(Quota::per_hour(20), ManualClock::new()).unwrap();
        for (actual, left) in [(1, 19), (4, 15), (6, 9), (0, 9), (5, 4)] {
            let reservation = bucket.try_reserve(4).unwrap();
            assert_eq!((reservation.commit(actual), bucket.available()), (actual, left));
        }
        // Into debt, to one burst of it.
        assert_eq!((bucket.try_reserve(4).unwrap().commit(30), bucket.charge(1)), (24, 0));
    }
}
