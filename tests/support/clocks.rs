//! Clocks that count their readings or tick in something else than nanoseconds.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use sluicegate::{Clock, ManualClock, Nanos, TickLength};

/// A clock moved by hand that counts how often it was read.
#[derive(Debug, Default)]
pub struct CountingClock {
    pub time: ManualClock,
    readings: AtomicU64,
    reads_of_now: AtomicU64,
}

impl CountingClock {
    /// Readings since the last call.
    pub fn readings(&self) -> u64 {
        self.readings.swap(0, Ordering::Relaxed)
    }

    /// How often the clock was asked for nanoseconds instead of its own count.
    pub fn reads_of_now(&self) -> u64 {
        self.reads_of_now.load(Ordering::Relaxed)
    }
}

impl Clock for CountingClock {
    fn now(&self) -> Nanos {
        self.reads_of_now.fetch_add(1, Ordering::Relaxed);
        self.time.now()
    }

    fn ticks(&self) -> u64 {
        self.readings.fetch_add(1, Ordering::Relaxed);
        self.time.ticks()
    }
}

/// A hardware counter moved by hand: its ticks are set, and each lasts `length`.
#[derive(Debug)]
pub struct Counter {
    ticks: AtomicU64,
    length: TickLength,
}

impl Counter {
    pub fn new(length: TickLength, ticks: u64) -> Self {
        Self { ticks: AtomicU64::new(ticks), length }
    }

    pub fn set(&self, ticks: u64) {
        self.ticks.store(ticks, Ordering::Release);
    }

    pub fn advance(&self, ticks: u64) {
        self.ticks.fetch_add(ticks, Ordering::AcqRel);
    }
}

impl Clock for Counter {
    fn now(&self) -> Nanos {
        Nanos::from_nanos(self.length.nanos(self.ticks()))
    }

    fn ticks(&self) -> u64 {
        self.ticks.load(Ordering::Acquire)
    }

    fn tick_length(&self) -> TickLength {
        self.length
    }
}

/// A clock that lets something happen between a reading and its use: what a thread that is stopped there misses.
#[derive(Default)]
pub struct Stopped<'a> {
    pub time: ManualClock,
    /// After so many more readings.
    meanwhile: Mutex<Option<(u32, Meanwhile<'a>)>>,
}

type Meanwhile<'a> = Box<dyn FnOnce() + Send + 'a>;

impl<'a> Stopped<'a> {
    /// Runs `meanwhile` after the `count`-th reading from now, the first being 1.
    pub fn after_reading(&self, count: u32, meanwhile: impl FnOnce() + Send + 'a) {
        *self.meanwhile.lock().unwrap() = Some((count, Box::new(meanwhile)));
    }

    /// Whether it came to that.
    pub fn was_stopped(&self) -> bool {
        self.meanwhile.lock().unwrap().is_none()
    }
}

impl Clock for Stopped<'_> {
    fn now(&self) -> Nanos {
        let now = self.time.now();
        let due = {
            let mut meanwhile = self.meanwhile.lock().unwrap();
            if let Some((count, _)) = &mut *meanwhile {
                *count -= 1;
            }
            meanwhile.take_if(|(count, _)| *count == 0)
        };
        if let Some((_, meanwhile)) = due {
            meanwhile();
        }
        now
    }
}
