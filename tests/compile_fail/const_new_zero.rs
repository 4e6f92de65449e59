use sluicegate::{Quota, TokenBucket};

static LIMIT: TokenBucket = TokenBucket::const_new(Quota::per_second(0));

fn main() {
    let _ = LIMIT.try_acquire();
}
