//! A function whose error cannot be a denial.

use std::sync::LazyLock;

use sluicegate::{AdaptiveRateLimiter, rate_limit};

static ADAPTIVE: LazyLock<AdaptiveRateLimiter> =
    LazyLock::new(|| AdaptiveRateLimiter::builder().base_rate(10.0).build().unwrap());

#[derive(Debug)]
struct Failed;

#[rate_limit(rate = 10.0)]
fn own() -> Result<u8, Failed> {
    Ok(1)
}

#[rate_limit(rate = 10.0)]
async fn later() -> Result<u8, Failed> {
    Ok(1)
}

#[rate_limit(adaptive = ADAPTIVE)]
fn adaptive() -> Result<u8, Failed> {
    Ok(1)
}

// Waits, so it is never denied.
#[rate_limit(rate = 10.0, wait)]
fn waits() -> Result<u8, Failed> {
    Ok(1)
}

fn main() {}
