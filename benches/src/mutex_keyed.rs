//! The baseline of the per-key limiter: a hash map of token buckets behind one `std` mutex, as people write it.

use core::fmt;
use core::hash::Hash;
use std::collections::HashMap;
use std::sync::Mutex;

use crate::mutex::{InstantTime, Lock, State, Time};

/// A token bucket for each key on the time `T` (`Instant`: what people write), all behind one lock.
///
/// A key is there from its first call on.
pub struct MutexKeyed<K, T: Time = InstantTime> {
    buckets: Mutex<HashMap<K, State<T::Point>>>,
    time: T,
    per_second: f64,
    burst: f64,
}

impl<K: Clone + Eq + Hash + Send, T: Time> MutexKeyed<K, T> {
    /// Nobody is known yet; each key starts with `burst` tokens.
    #[must_use]
    pub fn new(per_second: f64, burst: f64, time: T) -> Self {
        Self { buckets: Mutex::new(HashMap::new()), time, per_second, burst }
    }

    /// Takes `n` tokens of `key`'s, or nothing.
    #[inline]
    pub fn try_acquire_n(&self, key: &K, n: u64) -> bool {
        self.buckets.with(|buckets| {
            // Under the lock, so that time passes once and forwards.
            let now = self.time.now();
            let bucket = buckets.entry(key.clone()).or_insert_with(|| State::new(self.burst, now));
            bucket.earn::<T>(now, self.per_second, self.burst);
            bucket.take(n as f64).is_none()
        })
    }

    /// Forgets all keys whose bucket is full.
    pub fn retain_recent(&self) {
        self.buckets.with(|buckets| {
            let now = self.time.now();
            buckets.retain(|_, bucket| {
                bucket.earn::<T>(now, self.per_second, self.burst);
                !bucket.is_full(self.burst)
            });
        });
    }

    /// How many keys are known.
    pub fn len(&self) -> usize {
        self.buckets.with(|buckets| buckets.len())
    }

    /// Whether no key is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<K, T: Time> fmt::Debug for MutexKeyed<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MutexKeyed")
            .field("per_second", &self.per_second)
            .field("burst", &self.burst)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use sluicegate::ManualClock;

    use super::MutexKeyed;

    #[test]
    fn each_key_has_a_burst_of_its_own() {
        let clock = ManualClock::new();
        let limiter = MutexKeyed::new(4.0, 2.0, clock.clone());
        let taken = |key: &str| (0..10).take_while(|_| limiter.try_acquire_n(&key.to_owned(), 1)).count();
        assert!(limiter.is_empty());
        assert_eq!((taken("alice"), taken("alice"), taken("bob"), limiter.len()), (2, 0, 2, 2));
        clock.advance(Duration::from_millis(250));
        assert_eq!((taken("alice"), taken("bob")), (1, 1));
        clock.advance(Duration::from_millis(500));
        assert_eq!(taken("bob"), 2);
        limiter.retain_recent();
        assert_eq!((limiter.len(), taken("bob"), taken("alice")), (1, 0, 2));
    }
}
