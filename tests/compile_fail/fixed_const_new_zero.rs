use std::time::Duration;

use sluicegate::FixedWindowCounter;

static LIMIT: FixedWindowCounter = FixedWindowCounter::const_new(0, Duration::from_secs(1));

fn main() {
    let _ = LIMIT.try_acquire();
}
