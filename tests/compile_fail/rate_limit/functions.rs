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

#[rate_limit(rate = 10.0, wait)]
fn makes() -> impl Future<Output = ()> {
    async {}
}

#[rate_limit(rate = 10.0, wait)]
fn boxes(text: &str) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + '_>> {
    Box::pin(async move { drop(text) })
}

fn main() {}
