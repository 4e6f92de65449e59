//! A function that cannot tell that it was denied.

use std::future::Future;
use std::sync::LazyLock;

use sluicegate::{AdaptiveRateLimiter, Quota, RateLimitExceeded, TokenBucket, rate_limit};

static LIMITER: TokenBucket = TokenBucket::const_new(Quota::per_second(10));
static ADAPTIVE: LazyLock<AdaptiveRateLimiter> =
    LazyLock::new(|| AdaptiveRateLimiter::builder().base_rate(10.0).build().unwrap());

#[rate_limit(rate = 10.0)]
fn nothing(_text: &str) {}

#[rate_limit(rate = 10.0)]
async fn nothing_async() {}

#[rate_limit(rate = 10.0, timeout = "100ms")]
fn text() -> String {
    String::new()
}

#[rate_limit(rate = 10.0)]
fn option() -> Option<u8> {
    None
}

#[rate_limit(rate = 10.0)]
fn never() -> ! {
    loop {}
}

struct Session;

impl Session {
    #[rate_limit(limiter = LIMITER, wait)]
    async fn tuple<'a>(&'a self) -> (u8, &'a str) {
        (1, "a")
    }

    #[rate_limit(rate = 10.0)]
    fn future(&self) -> impl Future<Output = Result<(), RateLimitExceeded>> + use<> {
        async { Ok(()) }
    }
}

#[rate_limit(adaptive = ADAPTIVE)]
fn unrecorded() -> u8 {
    1
}

#[rate_limit(adaptive = ADAPTIVE, wait)]
async fn unrecorded_async() -> u8 {
    1
}

fn main() {}
