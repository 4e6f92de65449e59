//! What cannot be limited.

use sluicegate::{RateLimitExceeded, rate_limit};

#[rate_limit(rate = 10.0)]
struct Unit;

#[rate_limit(rate = 10.0)]
const fn constant() -> Result<(), RateLimitExceeded> {
    Ok(())
}

trait Declares {
    #[rate_limit(rate = 10.0)]
    fn declared(&self) -> Result<(), RateLimitExceeded>;
}

fn main() {}
