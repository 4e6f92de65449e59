use sluicegate::{Quota, TokenBucket};

static LIMIT: TokenBucket = TokenBucket::const_new(Quota::from_rate(f64::NAN).burst(5));

fn main() {
    let _ = LIMIT.try_acquire();
}
