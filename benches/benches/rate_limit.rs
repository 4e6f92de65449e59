//! The attribute next to the same by hand: they are to differ by nothing but noise.

use std::hint::black_box;
use std::sync::LazyLock;

use criterion::{Criterion, criterion_group, criterion_main};
use sluicegate::{AdaptiveRateLimiter, CallError, Quota, RateLimitExceeded, TokenBucket, rate_limit};
use sluicegate_benches::criterion_suites::settings;

type Answer = Result<u64, RateLimitExceeded>;

type Function = fn(u64) -> Answer;

static NEVER: TokenBucket = TokenBucket::const_new(Quota::per_day(1));
static ADAPTIVE: LazyLock<AdaptiveRateLimiter> =
    LazyLock::new(|| AdaptiveRateLimiter::builder().base_rate(1e8).build().expect("the rate is in range"));

#[inline(never)]
#[rate_limit(rate = 1e9)]
fn allowed(x: u64) -> Answer {
    Ok(3 * x)
}

#[inline(never)]
fn allowed_by_hand(x: u64) -> Answer {
    static LIMITER: TokenBucket = TokenBucket::const_new(Quota::per_second(1_000_000_000));
    LIMITER.try_acquire()?;
    Ok(3 * x)
}

#[inline(never)]
#[rate_limit(limiter = NEVER)]
fn denied(x: u64) -> Answer {
    Ok(3 * x)
}

#[inline(never)]
fn denied_by_hand(x: u64) -> Answer {
    NEVER.try_acquire()?;
    Ok(3 * x)
}

#[inline(never)]
#[rate_limit(adaptive = ADAPTIVE)]
fn adaptive(x: u64) -> Answer {
    Ok(3 * x)
}

#[inline(never)]
fn adaptive_by_hand(x: u64) -> Answer {
    let answer = ADAPTIVE.call(|| Ok::<u64, RateLimitExceeded>(3 * x));
    answer.map_err(|(CallError::RateLimited(exceeded) | CallError::Inner(exceeded))| exceeded)
}

fn calls(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("rate_limit");
    let functions: [(&str, Function); 6] = [
        ("allowed", allowed),
        ("allowed by hand", allowed_by_hand),
        ("denied", denied),
        ("denied by hand", denied_by_hand),
        ("adaptive", adaptive),
        ("adaptive by hand", adaptive_by_hand),
    ];
    for (name, function) in functions {
        let function = black_box(function);
        group.bench_function(name, |bencher| bencher.iter(|| function(black_box(7))));
    }
    group.finish();
}

criterion_group!(name = suites; config = settings(); targets = calls);
criterion_main!(suites);
