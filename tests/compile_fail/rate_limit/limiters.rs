//! Limiters that are none, or not of the kind that the option wants.

use std::sync::LazyLock;

use sluicegate::{PerKeyRateLimiter, Quota, RateLimitExceeded, TokenBucket, rate_limit};

static BUCKET: TokenBucket = TokenBucket::const_new(Quota::per_second(10));
static BY_ID: LazyLock<PerKeyRateLimiter<u64>> = LazyLock::new(|| PerKeyRateLimiter::new(Quota::per_second(1)).unwrap());
static NUMBER: u8 = 0;

type Done = Result<(), RateLimitExceeded>;

#[rate_limit(limiter = MISSING)]
fn missing() -> Done {
    Ok(())
}

#[rate_limit(limiter = NUMBER)]
fn number() -> Done {
    Ok(())
}

#[rate_limit(limiter = BY_ID)]
fn without_key() -> Done {
    Ok(())
}

#[rate_limit(limiter = BUCKET, key = id)]
fn no_keys(id: &u64) -> Done {
    Ok(())
}

#[rate_limit(limiter = BY_ID, key = id)]
fn no_reference(id: u64) -> Done {
    Ok(())
}

#[rate_limit(limiter = BY_ID, key = "alice")]
fn other_key() -> Done {
    Ok(())
}

#[rate_limit(adaptive = BUCKET)]
fn not_adaptive() -> Done {
    Ok(())
}

fn main() {}
