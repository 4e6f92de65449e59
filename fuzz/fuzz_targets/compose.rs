//! A composite against its members, asked one by one: all or nothing, the worst of their answers, and after a denial each is as
//! if it had never been asked.
//!
//! Kills: the wait of one member instead of the longest; a capacity that is not the smallest.
#![no_main]

use std::time::Duration;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use sluicegate::RateLimitExceeded::{Denied, ExceedsCapacity};
use sluicegate::{
    FixedWindowCounter, Limiter, PerKeyRateLimiter, RateLimitExceeded, SlidingWindowCounter, StripedTokenBucket,
    TokenBucket, all_of,
};
use sluicegate_fuzz::{Amount, Magnitude, ModestQuota, Step, Time, denied};

#[derive(Debug, Arbitrary)]
struct Case {
    quotas: [ModestQuota; 4],
    limits: [Magnitude<10>; 2],
    windows: [Magnitude<40>; 2],
    each: [u8; 6],
    shape: Shape,
    ops: Vec<Op>,
}

#[derive(Debug, Arbitrary)]
enum Shape {
    Tuple,
    Nested,
    Boxes,
}

#[derive(Debug, Arbitrary)]
enum Op {
    Move(Step),
    Take(Amount),
    /// Takes, if need be when they are there.
    Wait(Amount),
    /// Of one member, by somebody else.
    Other(u8, Amount),
    Refund(u8, Amount),
    RefundAll(Amount),
}

type State = Vec<(u64, Vec<Result<Duration, RateLimitExceeded>>)>;

/// All that can be seen of them without taking anything.
fn state(members: &[&dyn Limiter]) -> State {
    let waits = |member: &dyn Limiter| (0..5).chain([100, u64::MAX]).map(|n| member.time_to_available(n)).collect();
    members.iter().map(|member| (member.available(), waits(*member))).collect()
}

/// What the members say of `n` calls, with so many permits of each.
fn expected(members: &[&dyn Limiter], each: &[u64], n: u64) -> Result<(), RateLimitExceeded> {
    let (mut longest, mut smallest) = (Duration::ZERO, None::<u64>);
    for (member, &each) in members.iter().zip(each).filter(|&(_, &each)| each > 0 && n > 0) {
        match member.time_to_available(n.saturating_mul(each)) {
            Ok(wait) => longest = longest.max(wait),
            Err(ExceedsCapacity { capacity, .. }) => {
                smallest = Some(smallest.map_or(capacity / each, |least| least.min(capacity / each)));
            }
            Err(error) => unreachable!("{error}"),
        }
    }
    match smallest {
        Some(capacity) => Err(ExceedsCapacity { requested: n, capacity }),
        None if longest > Duration::ZERO => Err(Denied { retry_after: longest }),
        None => Ok(()),
    }
}

fn take(limiter: &dyn Limiter, members: &[&dyn Limiter], each: &[u64], n: u64) -> Result<(), RateLimitExceeded> {
    let (before, expected) = (state(members), expected(members, each, n));
    assert_eq!(limiter.try_acquire_n(n), expected);
    if expected.is_err() {
        assert_eq!(state(members), before, "something was charged on {expected:?}");
        return expected;
    }
    for ((member, each), (before, _)) in members.iter().zip(each).zip(before) {
        // An interpolated count is rounded when it is seen.
        assert_eq!(member.available(), before - n * each);
    }
    Ok(())
}

fuzz_target!(|case: Case| {
    let mut time = Time::from(1);
    let [first, second, third, fourth] = case.quotas.map(sluicegate::Quota::from);
    let window = |index: usize| Duration::from_nanos(case.windows[index].0 + 1_000_000);
    let bucket = TokenBucket::with_clock(first, time.clock.clone()).expect("a valid quota");
    let striped = StripedTokenBucket::with_clock(second.burst(8 * second.capacity()), time.clock.clone());
    let striped =
        striped.unwrap_or_else(|_| StripedTokenBucket::with_clock(second, time.clock.clone()).expect("valid"));
    let fixed = FixedWindowCounter::with_clock(case.limits[0].0, window(0), time.clock.clone()).expect("they fit");
    let sliding = SlidingWindowCounter::builder(case.limits[1].0, window(1)).strict().clock(time.clock.clone());
    let sliding = sliding.build().expect("they fit");
    let keys = PerKeyRateLimiter::<u8>::builder(third).clock(time.clock.clone()).build().expect("a valid quota");
    let others = PerKeyRateLimiter::<u8>::builder(fourth).clock(time.clock.clone()).build().expect("a valid quota");
    let (key, handle) = (keys.key(&7), others.handle(7));

    let members: [&dyn Limiter; 6] = [&key, &bucket, &striped, &fixed, &sliding, &handle];
    let each = case.each.map(|each| u64::from(each) % 4);
    let of = |index: usize| (members[index], each[index]);
    let limiter: Box<dyn Limiter + '_> = match case.shape {
        Shape::Tuple => Box::new(all_of((of(0), of(1), of(2), of(3), of(4), of(5)))),
        Shape::Nested => {
            Box::new(all_of((all_of([of(3), of(4)]), None::<&TokenBucket>, of(0), all_of((of(5), of(2), of(1))))))
        }
        Shape::Boxes => {
            Box::new(all_of((0..6).rev().map(|i| Box::new(of(i)) as Box<dyn Limiter + '_>).collect::<Vec<_>>()))
        }
    };
    for op in case.ops {
        let n = |amount: Amount| amount.of(members.iter().map(|member| member.available()).min().unwrap_or(0) / 2);
        match op {
            Op::Move(Step::Back(_)) => {}
            Op::Move(step) => time.step(step),
            Op::Take(amount) => _ = take(&limiter, &members, &each, n(amount)),
            Op::Wait(amount) => {
                let n = n(amount);
                if let Err(Denied { retry_after }) = take(&limiter, &members, &each, n)
                    && let Some(due) = time.after(retry_after)
                {
                    time.go(due - 1);
                    assert_eq!(take(&limiter, &members, &each, n), Err(denied(1)));
                    time.go(due);
                    assert_eq!(take(&limiter, &members, &each, n), Ok(()));
                }
            }
            Op::Other(member, n) => {
                let member = members[usize::from(member) % members.len()];
                _ = member.try_acquire_n(n.of(member.available()));
            }
            Op::Refund(member, n) => members[usize::from(member) % members.len()].refund(n.of(100)),
            Op::RefundAll(n) => limiter.refund(n.of(10)),
        }
        let least =
            members.iter().zip(each).filter(|&(_, each)| each > 0).map(|(member, each)| member.available() / each);
        assert_eq!(limiter.available(), least.min().unwrap_or(u64::MAX));
    }
});
