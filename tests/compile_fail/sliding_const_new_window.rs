use std::time::Duration;

use sluicegate::SlidingWindowCounter;

static LIMIT: SlidingWindowCounter = SlidingWindowCounter::const_new(5, Duration::from_nanos(999));

fn main() {
    let _ = LIMIT.try_acquire();
}
