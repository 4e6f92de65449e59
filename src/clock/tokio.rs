//! The clock of a tokio runtime, which can be paused.

use tokio::time::Instant;

use crate::clock::Clock;
use crate::nanos::Nanos;
use crate::wait::Timer;

/// A clock that reads the time of the [tokio](https://docs.rs/tokio) runtime, and on which tasks wait by that runtime's
/// own timer: under paused time (`start_paused`) an hour passes as soon as there is nothing else to do.
///
/// A newtype around it sleeps in real time: hand out this clock itself, or a reference or an `Arc` of it. The runtime's
/// timer counts in milliseconds, so at a burst of 1 the line gives a thousand permits a second at most.
///
/// # Panics
/// A task that waits on it panics in a runtime without a timer (`enable_time`).
///
/// Outside of a runtime it is the system's monotonic time. The blocking verbs park their thread for real time: do not
/// call them in a runtime whose time is paused, since it goes on only when that thread is idle. Feature `tokio`.
///
/// ```
/// use sluicegate::{Quota, TokenBucket, TokioClock};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
/// # runtime.block_on(async {
/// let bucket = TokenBucket::with_clock(Quota::per_hour(1), TokioClock::new())?;
/// let started = tokio::time::Instant::now();
/// assert!(bucket.acquire().await.is_ok());
/// assert!(bucket.try_acquire().is_err());
/// assert!(bucket.acquire().await.is_ok()); // an hour later
/// assert!(started.elapsed().as_secs() >= 3_600);
/// # Ok::<(), sluicegate::ConfigError>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TokioClock {
    origin: Instant,
}

impl TokioClock {
    /// A clock that starts now. Clones and copies share its origin.
    #[must_use]
    pub fn new() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Default for TokioClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Nanos {
        let since = Instant::now().saturating_duration_since(self.origin);
        Nanos::from_nanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }

    fn timer(&self, time: core::time::Duration) -> Timer {
        Timer::tokio(time)
    }
}
