//! Waiting by key: in the line of the key's own bucket, which it has meanwhile.

use alloc::borrow::ToOwned;
use core::borrow::Borrow;
use core::fmt;
use core::future::Future;
use core::hash::Hash;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;

use super::inner::Waiting;
use super::promoted::User;
use super::{KeyRef, PerKeyRateLimiter};
use crate::clock::{Clock, MonotonicClock};
use crate::error::RateLimitExceeded;
use crate::wait::{Place, Sleeper, block_on};

impl<K: Eq + Hash, C: Clock + Clone> PerKeyRateLimiter<K, C> {
    /// Waits for one permit of `key`'s. See [`acquire_n`](Self::acquire_n).
    ///
    /// # Errors
    /// As [`acquire_n`](Self::acquire_n).
    ///
    /// ```
    /// use sluicegate::{PerKeyRateLimiter, Quota};
    ///
    /// let limiter: PerKeyRateLimiter<String> = PerKeyRateLimiter::new(Quota::per_second(1_000).burst(1))?;
    /// # futures_lite::future::block_on(async {
    /// assert_eq!(limiter.acquire("alice").await, Ok(()));
    /// assert_eq!(limiter.acquire("alice").await, Ok(())); // a millisecond later
    /// # });
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    pub fn acquire<'a, Q>(&'a self, key: &'a Q) -> KeyAcquire<'a, K, Q, C>
    where
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
        K: Borrow<Q>,
    {
        self.acquire_n(key, 1)
    }

    /// Waits for `n` permits of `key`'s, in the order of joining: the future joins the key's line when it is first polled. While
    /// somebody waits nobody overtakes, by the map or a handle. Keys do not wait for each other. `n = 0` is `Ok` at once.
    ///
    /// A key that is waited for has a whole bucket meanwhile, as one with a [`KeyHandle`](crate::KeyHandle) has. Newcomers
    /// without a place wait in one line for their common bucket, if they share one.
    ///
    /// # Errors
    /// [`ExceedsCapacity`](RateLimitExceeded::ExceedsCapacity) if `n` is more than one call can ever get;
    /// [`KeysExhausted`](RateLimitExceeded::KeysExhausted) if the key is new and there is no place for it now. Nothing was
    /// charged.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the future leaves no trace: nothing was charged, and the next one is woken.
    ///
    /// ```
    /// use sluicegate::{PerKeyRateLimiter, Quota, RateLimitExceeded};
    ///
    /// let limiter: PerKeyRateLimiter<u32> = PerKeyRateLimiter::new(Quota::per_second(1_000))?;
    /// # futures_lite::future::block_on(async {
    /// assert_eq!(limiter.acquire_n(&7, 1_000).await, Ok(()));
    /// assert_eq!(limiter.acquire_n(&7, 2).await, Ok(())); // two milliseconds later
    /// let never = limiter.acquire_n(&7, 1_001).await;
    /// assert_eq!(never, Err(RateLimitExceeded::ExceedsCapacity { requested: 1_001, capacity: 1_000 }));
    /// # });
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    pub fn acquire_n<'a, Q>(&'a self, key: &'a Q, n: u64) -> KeyAcquire<'a, K, Q, C>
    where
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
        K: Borrow<Q>,
    {
        KeyAcquire { state: State::New { limiter: self, key }, n, timeout: None }
    }

    /// Waits for `n` permits of `key`'s, for `timeout` at most, by the limiter's clock; what is slept counts whatever the clock
    /// says.
    ///
    /// # Errors
    /// As [`acquire_n`](Self::acquire_n); and [`Denied`](RateLimitExceeded::Denied), at once, if the permits cannot come in
    /// time, given who waits before; or after `timeout`. Nothing was charged.
    ///
    /// # Cancel safety
    /// As [`acquire_n`](Self::acquire_n).
    ///
    /// ```
    /// use sluicegate::{PerKeyRateLimiter, Quota};
    /// use std::time::Duration;
    ///
    /// let limiter: PerKeyRateLimiter<u32> = PerKeyRateLimiter::new(Quota::per_hour(2))?;
    /// # futures_lite::future::block_on(async {
    /// assert_eq!(limiter.acquire_timeout(&7, 2, Duration::ZERO).await, Ok(()));
    /// assert!(limiter.acquire_timeout(&7, 1, Duration::from_secs(60)).await.is_err()); // at once
    /// # });
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    pub fn acquire_timeout<'a, Q>(&'a self, key: &'a Q, n: u64, timeout: Duration) -> KeyAcquire<'a, K, Q, C>
    where
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
        K: Borrow<Q>,
    {
        KeyAcquire { state: State::New { limiter: self, key }, n, timeout: Some(timeout) }
    }

    /// Waits for one permit of `key`'s on this thread. See [`blocking_acquire_n`](Self::blocking_acquire_n).
    ///
    /// # Errors
    /// As [`acquire_n`](Self::acquire_n).
    ///
    /// ```
    /// use sluicegate::{PerKeyRateLimiter, Quota, RateLimitExceeded};
    ///
    /// let limiter = PerKeyRateLimiter::<u32>::builder(Quota::per_second(1_000).burst(1)).max_keys(1).build()?;
    /// let seven = limiter.handle(7); // a key with a handle keeps its place
    /// assert_eq!(limiter.blocking_acquire(&7), Ok(()));
    /// assert_eq!(limiter.blocking_acquire(&7), Ok(())); // a millisecond later
    /// assert_eq!(limiter.blocking_acquire(&8), Err(RateLimitExceeded::KeysExhausted { max_keys: 1 }));
    /// # drop(seven);
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    pub fn blocking_acquire<Q>(&self, key: &Q) -> Result<(), RateLimitExceeded>
    where
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
        K: Borrow<Q>,
    {
        self.blocking(key, 1, None)
    }

    /// Waits for `n` permits of `key`'s on this thread, in one line with all that wait for it, tasks included.
    ///
    /// # Errors
    /// As [`acquire_n`](Self::acquire_n).
    ///
    /// # Blocking
    /// Parks the thread. In an async runtime use [`acquire`](Self::acquire).
    ///
    /// ```
    /// use sluicegate::{PerKeyRateLimiter, Quota};
    ///
    /// let limiter: PerKeyRateLimiter<String> = PerKeyRateLimiter::new(Quota::per_second(1_000))?;
    /// assert_eq!(limiter.blocking_acquire_n("alice", 1_000), Ok(()));
    /// assert_eq!(limiter.blocking_acquire_n("alice", 2), Ok(())); // two milliseconds later
    /// assert!(limiter.blocking_acquire_n("alice", 1_001).is_err());
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    pub fn blocking_acquire_n<Q>(&self, key: &Q, n: u64) -> Result<(), RateLimitExceeded>
    where
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
        K: Borrow<Q>,
    {
        self.blocking(key, n, None)
    }

    /// Waits for `n` permits of `key`'s on this thread, for `timeout` at most: see
    /// [`acquire_timeout`](Self::acquire_timeout).
    ///
    /// # Errors
    /// As [`acquire_timeout`](Self::acquire_timeout).
    ///
    /// # Blocking
    /// Parks the thread, for `timeout` at most.
    ///
    /// ```
    /// use sluicegate::{PerKeyRateLimiter, Quota};
    /// use std::time::Duration;
    ///
    /// let limiter: PerKeyRateLimiter<u32> = PerKeyRateLimiter::new(Quota::per_hour(2))?;
    /// assert_eq!(limiter.blocking_acquire_timeout(&7, 2, Duration::ZERO), Ok(()));
    /// assert!(limiter.blocking_acquire_timeout(&7, 1, Duration::from_secs(60)).is_err()); // at once
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    pub fn blocking_acquire_timeout<Q>(&self, key: &Q, n: u64, timeout: Duration) -> Result<(), RateLimitExceeded>
    where
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
        K: Borrow<Q>,
    {
        self.blocking(key, n, Some(timeout))
    }

    fn blocking<Q>(&self, key: &Q, n: u64, timeout: Option<Duration>) -> Result<(), RateLimitExceeded>
    where
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
        K: Borrow<Q>,
    {
        match self.inner.acquire_n(key, n, timeout) {
            Waiting::Settled(outcome) => outcome,
            Waiting::By(user) => block_on(Place::new(user, n, timeout)),
        }
    }
}

/// The waiting verbs of a key that is named already.
impl<'a, K, Q, C> KeyRef<'a, K, Q, C>
where
    K: Eq + Hash + Borrow<Q>,
    Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    C: Clock + Clone,
{
    /// As [`PerKeyRateLimiter::acquire`].
    ///
    /// # Errors
    /// As there.
    pub fn acquire(&self) -> KeyAcquire<'a, K, Q, C> {
        self.limiter.acquire(self.key)
    }

    /// As [`PerKeyRateLimiter::acquire_n`].
    ///
    /// # Errors
    /// As there.
    pub fn acquire_n(&self, n: u64) -> KeyAcquire<'a, K, Q, C> {
        self.limiter.acquire_n(self.key, n)
    }

    /// As [`PerKeyRateLimiter::acquire_timeout`].
    ///
    /// # Errors
    /// As there.
    pub fn acquire_timeout(&self, n: u64, timeout: Duration) -> KeyAcquire<'a, K, Q, C> {
        self.limiter.acquire_timeout(self.key, n, timeout)
    }

    /// As [`PerKeyRateLimiter::blocking_acquire`].
    ///
    /// # Errors
    /// As there.
    pub fn blocking_acquire(&self) -> Result<(), RateLimitExceeded> {
        self.limiter.blocking_acquire(self.key)
    }

    /// As [`PerKeyRateLimiter::blocking_acquire_n`].
    ///
    /// # Errors
    /// As there.
    pub fn blocking_acquire_n(&self, n: u64) -> Result<(), RateLimitExceeded> {
        self.limiter.blocking_acquire_n(self.key, n)
    }

    /// As [`PerKeyRateLimiter::blocking_acquire_timeout`].
    ///
    /// # Errors
    /// As there.
    pub fn blocking_acquire_timeout(&self, n: u64, timeout: Duration) -> Result<(), RateLimitExceeded> {
        self.limiter.blocking_acquire_timeout(self.key, n, timeout)
    }
}

/// The future of a per-key limiter's `acquire`, `acquire_n` and `acquire_timeout`: as [`Acquire`](crate::Acquire), in the line
/// of one key.
///
/// # Cancel safety
/// Dropped before it is ready it leaves the line; nothing was charged, and the next one is woken.
///
/// ```
/// use sluicegate::{KeyAcquire, PerKeyRateLimiter, Quota};
///
/// let limiter: PerKeyRateLimiter<String> = PerKeyRateLimiter::new(Quota::per_hour(1))?;
/// let acquire: KeyAcquire<'_, String, str> = limiter.acquire("alice");
/// drop(acquire); // never polled: nothing was taken
/// assert!(limiter.try_acquire("alice").is_ok());
/// assert!(limiter.try_acquire("alice").is_err());
/// # Ok::<(), sluicegate::ConfigError>(())
/// ```
#[must_use = "futures do nothing unless they are polled"]
pub struct KeyAcquire<'a, K: Eq + Hash, Q: ?Sized, C: Clock = MonotonicClock> {
    state: State<'a, K, Q, C>,
    n: u64,
    timeout: Option<Duration>,
}

enum State<'a, K: Eq + Hash, Q: ?Sized, C: Clock> {
    New { limiter: &'a PerKeyRateLimiter<K, C>, key: &'a Q },
    Waiting(Sleeper<Place<User<K, C>>>),
    Done,
}

// Nothing in it is pinned: neither keys nor clocks are ever in it, but behind pointers.
impl<K: Eq + Hash, Q: ?Sized, C: Clock> Unpin for KeyAcquire<'_, K, Q, C> {}

impl<K, Q, C> Future for KeyAcquire<'_, K, Q, C>
where
    K: Eq + Hash + Borrow<Q>,
    Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    C: Clock + Clone,
{
    type Output = Result<(), RateLimitExceeded>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let State::New { limiter, key } = self.state {
            match limiter.inner.acquire_n(key, self.n, self.timeout) {
                Waiting::Settled(outcome) => {
                    self.state = State::Done;
                    return Poll::Ready(outcome);
                }
                Waiting::By(user) => self.state = State::Waiting(Sleeper::new(Place::new(user, self.n, self.timeout))),
            }
        }
        let State::Waiting(sleeper) = &mut self.state else {
            return Poll::Pending;
        };
        let polled = sleeper.poll(context);
        if polled.is_ready() {
            // Nobody uses the key's bucket any more on behalf of this call.
            self.state = State::Done;
        }
        polled
    }
}

impl<K: Eq + Hash, Q: ?Sized + fmt::Debug, C: Clock> fmt::Debug for KeyAcquire<'_, K, Q, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyAcquire")
            .field("permits", &self.n)
            .field("timeout", &self.timeout)
            .field("is_waiting", &matches!(self.state, State::Waiting(_)))
            .finish_non_exhaustive()
    }
}
