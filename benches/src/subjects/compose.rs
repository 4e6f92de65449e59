//! Two token buckets, asked one after the other, and as one composite.

use core::time::Duration;

use sluicegate::{AllOf, Limiter as _, Quota, RateLimitExceeded, TokenBucket, all_of};

use super::{Ours, Outcome, Subject, Suite};

/// The name of the subject that everything is compared with: two calls, without a look and without a roll-back.
pub const TWO_CALLS: &str = "two_calls";

/// All suites: all calls granted, as of one bucket; and all denied, by both members.
pub(super) fn suites() -> Vec<Suite> {
    let allow = Quota::per(1, Duration::from_millis(1)).burst(u64::from(u32::MAX));
    let deny = Quota::per_hour(1);
    vec![suite("allow", Outcome::Granted, allow), suite("deny", Outcome::Denied, deny)]
}

fn suite(name: &'static str, outcome: Outcome, quota: Quota) -> Suite {
    let bucket = move || {
        let bucket = TokenBucket::new(quota).expect("the suite's quota fits");
        assert!(outcome == Outcome::Granted || bucket.try_acquire().is_ok(), "it starts with its burst");
        bucket
    };
    let object = move || -> Object { Box::new(bucket()) };
    let subjects = vec![
        Subject::new(TWO_CALLS, name, outcome, move || Two(bucket(), bucket())),
        Subject::new("all_of", name, outcome, move || Both(all_of((bucket(), bucket())))),
        Subject::new("two_calls_of_objects", name, outcome, move || Two(object(), object())),
        Subject::new("all_of_objects", name, outcome, move || Objects(all_of(vec![object(), object()]))),
    ];
    Suite { name, subjects }
}

type Object = Box<dyn sluicegate::Limiter>;

/// Called one after the other.
struct Two<L>(L, L);

impl<L: sluicegate::Limiter> Ours for Two<L> {
    #[inline(always)]
    fn take(&self, n: u64) -> Result<(), RateLimitExceeded> {
        self.0.try_acquire_n(n)?;
        self.1.try_acquire_n(n)
    }
}

/// A composite of known members.
struct Both(AllOf<(TokenBucket, TokenBucket)>);

impl Ours for Both {
    #[inline(always)]
    fn take(&self, n: u64) -> Result<(), RateLimitExceeded> {
        self.0.try_acquire_n(n)
    }
}

/// A composite of objects in a list.
struct Objects(AllOf<Vec<Object>>);

impl Ours for Objects {
    #[inline(always)]
    fn take(&self, n: u64) -> Result<(), RateLimitExceeded> {
        self.0.try_acquire_n(n)
    }
}
