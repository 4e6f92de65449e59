//! A limiter in a `const` would be a new one at every call, and limit nothing.

use sluicegate::{Quota, RateLimitExceeded, TokenBucket, rate_limit};

const LIMITER: TokenBucket = TokenBucket::const_new(Quota::per_second(10));

#[rate_limit(limiter = LIMITER)]
fn limited() -> Result<(), RateLimitExceeded> {
    Ok(())
}

fn main() {}
