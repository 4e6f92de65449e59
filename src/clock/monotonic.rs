//! The default clock: the processor's own counter where it is invariant, the system's monotonic clock elsewhere.

/// The default clock: monotonic, of nanosecond resolution, zero-sized.
///
/// All values are the same clock with one origin, the moment the process first asked, so that readings can be
/// compared across limiters and a limiter can stand in a `static`. Where the processor's time-stamp counter is
/// invariant it is read directly (by [quanta](https://docs.rs/quanta)), elsewhere the system's monotonic clock is.
///
/// # Accuracy
/// The counter is calibrated once, at first use, which takes about a millisecond (200 ms at the very most). Its rate
/// then differs from the system's monotonic clock by a few parts in a million, 1 to 18 as measured, from one process
/// to the next. Readings of different cores agree as far as the hardware's counters do; a reading that is older than
/// another thread's admits nothing extra.
///
/// Without the feature `std` the type exists, so that limiters can name it, but it cannot be made.
///
/// ```
/// use sluicegate::{Clock, MonotonicClock};
///
/// let first = MonotonicClock::new().now();
/// assert!(MonotonicClock::new().now() >= first);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct MonotonicClock {
    #[cfg(feature = "std")]
    _private: (),
    #[cfg(not(feature = "std"))]
    never: core::convert::Infallible,
}

#[cfg(feature = "std")]
mod source {
    use std::sync::OnceLock;

    use super::MonotonicClock;
    use crate::clock::Clock;
    use crate::nanos::{Nanos, TickLength};

    /// The calibrated counter and its count at the origin.
    #[derive(Debug)]
    struct Source {
        counter: quanta::Clock,
        origin: u64,
        length: TickLength,
        /// Whether limiters may count in the counter's own ticks.
        raw: bool,
    }

    static SOURCE: OnceLock<Source> = OnceLock::new();

    impl Source {
        #[inline]
        fn get() -> &'static Self {
            SOURCE.get_or_init(Self::calibrate)
        }

        #[cold]
        fn calibrate() -> Self {
            let counter = quanta::Clock::new();
            let origin = counter.raw();
            // quanta keeps its ratio as a fraction of a power of two well below 2^60, so this quotient is exact.
            let length = TickLength::new(counter.delta_as_nanos(0, 1 << 60), 1 << 60);
            Self { counter, origin, length: length.unwrap_or_default(), raw: length.is_some() }
        }

        #[inline]
        fn ticks(&self) -> u64 {
            let raw = self.counter.raw();
            if self.raw { raw } else { self.counter.delta_as_nanos(self.origin, raw) }
        }
    }

    impl MonotonicClock {
        /// The clock.
        #[must_use]
        pub const fn new() -> Self {
            Self { _private: () }
        }
    }

    impl Default for MonotonicClock {
        fn default() -> Self {
            Self::new()
        }
    }

    impl Clock for MonotonicClock {
        /// Nanoseconds since the process first asked.
        #[inline]
        fn now(&self) -> Nanos {
            let source = Source::get();
            let ticks = source.ticks();
            let since = if source.raw { ticks.saturating_sub(source.origin) } else { ticks };
            Nanos::from_nanos(source.length.nanos(since))
        }

        #[inline]
        fn ticks(&self) -> u64 {
            Source::get().ticks()
        }

        #[inline]
        fn tick_length(&self) -> TickLength {
            Source::get().length
        }
    }
}

#[cfg(not(feature = "std"))]
impl crate::clock::Clock for MonotonicClock {
    fn now(&self) -> crate::nanos::Nanos {
        match self.never {}
    }
}
