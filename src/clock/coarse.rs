//! A clock that costs one load: a thread of its own keeps the time.

use alloc::sync::Arc;
use core::fmt;
use core::time::Duration;
use std::io;
use std::thread::{self, Thread};

use crossbeam_utils::CachePadded;

use crate::clock::{Clock, MonotonicClock};
use crate::nanos::Nanos;
use crate::sync::{AtomicU64, Ordering};

/// A clock that is one atomic load to read, moved by an upkeep thread every `interval`.
///
/// # Accuracy
/// A reading is stale by at most `interval` plus the delay of the upkeep thread's scheduling. With a staleness `s`,
/// every bound of a limiter loosens from `burst + rate * T` to `burst + rate * (T + s)`, and permits are noticed up
/// to `s` late. All clones share one thread, which ends with the last of them.
///
/// ```
/// use sluicegate::{CoarseClock, Quota, TokenBucket};
/// use std::time::Duration;
///
/// let clock = CoarseClock::start(Duration::from_micros(500))?;
/// let bucket = TokenBucket::with_clock(Quota::per_second(1_000_000), clock.clone())?;
/// assert!(bucket.try_acquire().is_ok());
/// assert_eq!(clock.interval(), Duration::from_micros(500));
///
/// let error = CoarseClock::start(Duration::ZERO).unwrap_err();
/// assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct CoarseClock {
    // Reached in one step, whoever holds the clock.
    time: Arc<Time>,
    upkeep: Arc<Upkeep>,
}

/// Written by the upkeep thread alone.
type Time = CachePadded<AtomicU64>;

/// Ends the thread when the last clock goes.
struct Upkeep {
    thread: Thread,
    interval: Duration,
    running: Arc<AtomicU64>,
}

impl CoarseClock {
    /// Starts the upkeep thread.
    ///
    /// # Errors
    /// `InvalidInput` if `interval` is zero; whatever the system says when it cannot start a thread.
    pub fn start(interval: Duration) -> io::Result<Self> {
        if interval.is_zero() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "interval must be above zero"));
        }
        let source = MonotonicClock::new();
        let time = Arc::new(Time::new(AtomicU64::new(source.now().as_nanos())));
        let running = Arc::new(AtomicU64::new(1));
        let handle = {
            let (time, running) = (Arc::clone(&time), Arc::clone(&running));
            thread::Builder::new().name("sluicegate-clock".into()).spawn(move || {
                // Ordering: Relaxed; a flag that publishes nothing. The unparking that follows it orders it.
                while running.load(Ordering::Relaxed) != 0 {
                    // Ordering: Relaxed; the reading is the whole message.
                    time.store(source.now().as_nanos(), Ordering::Relaxed);
                    thread::park_timeout(interval);
                }
            })?
        };
        let upkeep = Arc::new(Upkeep { thread: handle.thread().clone(), interval, running });
        Ok(Self { time, upkeep })
    }

    /// How often the clock is moved.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.upkeep.interval
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        // Ordering: Relaxed; `unpark` synchronizes with the return of `park_timeout`.
        self.running.store(0, Ordering::Relaxed);
        self.thread.unpark();
    }
}

impl Clock for CoarseClock {
    #[inline]
    fn now(&self) -> Nanos {
        // Ordering: Relaxed; coherence of the one location never takes a reader back in time.
        Nanos::from_nanos(self.time.load(Ordering::Relaxed))
    }
}

impl fmt::Debug for CoarseClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CoarseClock")
            .field("now", &self.now())
            .field("interval", &self.interval())
            .finish_non_exhaustive()
    }
}
