//! A clock that set-up moves: for limiters that have a past.

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::sync::Arc;

use clock_lib::{Monotonic, Wall};
use crossbeam_utils::CachePadded;
use sluicegate::{Clock, MonotonicClock, Nanos};

/// The default clock and a shift, which clones share. It moves on by itself, and by hand.
///
/// It counts in nanoseconds, so that a limiter cannot convert the raw count once instead of twice: compare only what is
/// measured on it.
#[derive(Clone, Debug)]
pub struct Shifted {
    base: MonotonicClock,
    // On a cache line that nobody writes while limiters are measured.
    by: Arc<CachePadded<AtomicU64>>,
}

impl Shifted {
    /// Not shifted yet.
    #[must_use]
    pub fn new() -> Self {
        Self { base: MonotonicClock::new(), by: Arc::default() }
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        // Ordering: Relaxed; set-up is over before the threads start.
        self.by.fetch_add(by.as_nanos() as u64, Ordering::Relaxed);
    }
}

impl Default for Shifted {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for Shifted {
    #[inline]
    fn now(&self) -> Nanos {
        // Ordering: Relaxed, as above.
        Nanos::from_nanos(self.base.now().as_nanos() + self.by.load(Ordering::Relaxed))
    }
}

/// For a peer: an `Instant` with the same shift.
impl clock_lib::Clock for Shifted {
    #[inline]
    fn now(&self) -> Monotonic {
        // Ordering: Relaxed, as above.
        Monotonic::now() + Duration::from_nanos(self.by.load(Ordering::Relaxed))
    }

    fn wall(&self) -> Wall {
        Wall::now()
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use sluicegate::Clock;

    use super::Shifted;

    #[test]
    fn moves_by_itself_and_by_hand() {
        let clock = Shifted::new();
        let (other, before) = (clock.clone(), clock.now());
        other.advance(Duration::from_secs(3_600));
        assert!(clock.now().as_nanos() - before.as_nanos() >= 3_600_000_000_000);
        let before = clock.now();
        while clock.now() == before {}
    }

    #[test]
    fn a_peers_clock_has_the_same_shift() {
        let clock = Shifted::new();
        let before = clock_lib::Clock::now(&clock);
        clock.advance(Duration::from_secs(3_600));
        assert!(clock_lib::Clock::now(&clock).duration_since(before) >= Duration::from_secs(3_600));
    }
}
