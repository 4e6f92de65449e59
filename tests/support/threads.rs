//! For traces of threads on the real clock.

use std::hint::black_box;
use std::time::Instant;

use sluicegate::{Clock, MonotonicClock};

/// Runs `call` between two readings. A reading is rounded down, so the end is put one nanosecond later.
///
/// A processor reads its counter out of order, hundreds of nanoseconds before an exchange that it follows is done. The
/// system's clock waits for what comes before it, so it stands on both sides.
pub fn timed<T>(call: impl FnOnce() -> T) -> (T, u64, u64) {
    let clock = MonotonicClock::new();
    let start = clock.now().as_nanos();
    black_box(Instant::now());
    let result = call();
    black_box(Instant::now());
    (result, start, clock.now().as_nanos() + 1)
}

/// Marsaglia's xorshift.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed))
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}
