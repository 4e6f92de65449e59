use std::time::Duration;

use sluicegate::SlidingWindowCounter;

static LIMIT: SlidingWindowCounter = SlidingWindowCounter::const_strict(32, Duration::from_micros(1));

fn main() {
    let _ = LIMIT.try_acquire();
}
