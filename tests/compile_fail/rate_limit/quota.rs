//! Quotas that no bucket can keep.

use sluicegate::{RateLimitExceeded, rate_limit};

type Done = Result<(), RateLimitExceeded>;

#[rate_limit(rate = 5e9)]
fn fast() -> Done {
    Ok(())
}

#[rate_limit(per = "day", rate = 1e-3)]
fn slow() -> Done {
    Ok(())
}

#[rate_limit(rate = 1, burst = 2_000_000_000_000)]
fn large() -> Done {
    Ok(())
}

fn main() {}
