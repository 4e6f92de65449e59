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
/// to the next. Readings of different cores agree as far as the hardware's counters do, and a processor may read its
/// counter some nanoseconds before or after the instructions around it: the same as with every clock of this kind.
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
        /// How long a count of the counter is, if limiters can count in those.
        length: Option<TickLength>,
    }

    static SOURCE: OnceLock<Source> = OnceLock::new();

    /// The same once more, if limiters count in ticks: all that a decision asks, behind one look.
    static RAW: OnceLock<Raw> = OnceLock::new();

    #[derive(Debug)]
    struct Raw {
        counter: quanta::Clock,
        origin: u64,
        length: TickLength,
    }

    impl Raw {
        #[inline]
        fn nanos(&self) -> u64 {
            self.length.nanos(self.counter.raw().saturating_sub(self.origin))
        }
    }

    impl Source {
        fn get() -> &'static Self {
            SOURCE.get_or_init(|| {
                let counter = quanta::Clock::new();
                let origin = counter.raw();
                Self { length: length(&counter), counter, origin }
            })
        }

        fn raw(&self, length: TickLength) -> Raw {
            Raw { counter: self.counter.clone(), origin: self.origin, length }
        }

        fn nanos(&self) -> u64 {
            self.counter.delta_as_nanos(self.origin, self.counter.raw())
        }
    }

    /// How long a count is, if it is a nanosecond at most.
    fn length(counter: &quanta::Clock) -> Option<TickLength> {
        // quanta wraps where the nanoseconds have more than 64 bits: a long tick must not get to the next line.
        if counter.delta_as_nanos(0, 1 << 32) > 1 << 32 {
            return None;
        }
        // Its ratio is a fraction of a power of two well below 2^60, so this quotient is exact.
        TickLength::new(counter.delta_as_nanos(0, 1 << 60), 1 << 60)
    }

    /// The first call, and every one where the counter is too slow to count in.
    #[cold]
    #[inline(never)]
    fn otherwise() -> (u64, TickLength) {
        let source = Source::get();
        match source.length {
            Some(length) => (RAW.get_or_init(|| source.raw(length)).counter.raw(), length),
            None => (source.nanos(), TickLength::NANOSECOND),
        }
    }

    /// The same for nanoseconds.
    #[cold]
    #[inline(never)]
    fn otherwise_nanos() -> u64 {
        let source = Source::get();
        match source.length {
            Some(length) => RAW.get_or_init(|| source.raw(length)).nanos(),
            None => source.nanos(),
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
            Nanos::from_nanos(match RAW.get() {
                Some(raw) => raw.nanos(),
                None => otherwise_nanos(),
            })
        }

        // Always: beside a call, what a decision holds in registers is spilled.
        #[inline(always)]
        fn ticks(&self) -> u64 {
            match RAW.get() {
                Some(raw) => raw.counter.raw(),
                None => otherwise().0,
            }
        }

        #[inline]
        fn tick_length(&self) -> TickLength {
            match RAW.get() {
                Some(raw) => raw.length,
                None => otherwise().1,
            }
        }
    }
}

#[cfg(not(feature = "std"))]
impl crate::clock::Clock for MonotonicClock {
    fn now(&self) -> crate::nanos::Nanos {
        match self.never {}
    }
}
