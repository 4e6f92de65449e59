//! The limiter by key, and handles of its keys, against one exact bucket a key that is never forgotten: who is let in, put out,
//! promoted and demoted cannot be told from it; but for a clock that is behind its latest reading, where a key may have less.
//!
//! Kills: a key that is put out while it owes; debt that a handle's end forgives.
#![no_main]

use std::time::Duration;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use sluicegate::{KeyHandle, ManualClock, PerKeyRateLimiter, Quota, RateLimitExceeded};
use sluicegate_fuzz::{Amount, Exact, Magnitude, ModestQuota, Step, Time, denied};

const KEYS: usize = 5;
const MAX_KEYS: usize = 4;

#[derive(Debug, Arbitrary)]
struct Case {
    quota: ModestQuota,
    interval: Magnitude<40>,
    ops: Vec<Op>,
}

#[derive(Debug, Arbitrary)]
enum Op {
    Move(Step),
    Take(Key, Amount),
    Wait(Key, Amount),
    Refund(Key, Amount),
    /// By the handle, if there is one.
    Charge(Key, Amount),
    UpTo(Key, Amount),
    Change(Key, ModestQuota),
    /// Makes a handle, or drops it.
    Handle(Key),
    Remove(Key),
    Clear,
    Cleanup,
}

#[derive(Debug)]
struct Key(usize);

impl<'a> Arbitrary<'a> for Key {
    fn arbitrary(u: &mut arbitrary::Unstructured<'a>) -> arbitrary::Result<Self> {
        Ok(Self(u.int_in_range(0..=KEYS - 1)?))
    }
}

struct Keys {
    time: Time,
    quota: Quota,
    limiter: PerKeyRateLimiter<usize, ManualClock>,
    exact: [Exact; KEYS],
    handles: [Option<KeyHandle<usize, ManualClock>>; KEYS],
}

impl Keys {
    fn is_late(&self) -> bool {
        self.time.now < self.time.latest
    }

    /// Full: one in use from now on, in place; one that is let in again from its own reading, which may be behind.
    fn afresh(&self, key: usize, quota: Quota) -> Exact {
        match &self.handles[key] {
            Some(_) => Exact::new(quota, self.time.now),
            None => Exact::afresh(quota, self.time.first, self.time.now),
        }
    }

    fn took(&mut self, key: usize, taken: u64) {
        self.exact[key].take_at(taken, self.time.now, self.time.latest);
    }

    /// Takes them; or tells how long they take.
    fn take(&mut self, key: usize, n: u64) -> Option<Duration> {
        let (now, was_known) = (self.time.now, self.limiter.contains_key(&key));
        let result = match &self.handles[key] {
            Some(handle) if n % 2 == 0 => handle.try_acquire_n(n),
            _ => self.limiter.try_acquire_n(&key, n),
        };
        match result {
            Ok(()) => {
                assert!(self.exact[key].may_grant(n, now), "{n} of {:?} granted", self.exact[key].available(now));
                self.took(key, n);
                None
            }
            Err(RateLimitExceeded::KeysExhausted { max_keys }) => {
                assert!(!was_known && self.limiter.len() == MAX_KEYS && max_keys == MAX_KEYS);
                None
            }
            Err(error) if self.is_late() => error.retry_after(),
            Err(error) => {
                self.exact[key].assert_denied(error, n, now);
                error.retry_after()
            }
        }
    }

    fn run(&mut self, op: Op) {
        let (now, quota) = (self.time.now, self.quota);
        match op {
            Op::Move(step) => {
                self.time.step(step);
                let end = self.exact.iter().map(Exact::end).min().unwrap_or(now);
                self.time.go(self.time.now.min(end));
            }
            Op::Take(Key(key), n) => _ = self.take(key, n.of(self.exact[key].quota().capacity())),
            Op::Wait(Key(key), n) => {
                let n = n.of(self.exact[key].quota().capacity());
                if let Some(due) = self.take(key, n).and_then(|wait| self.time.after(wait)) {
                    self.time.go(due - 1);
                    assert_eq!(self.limiter.try_acquire_n(&key, n), Err(denied(1)));
                    self.time.go(due);
                    assert_eq!(self.take(key, n), None);
                }
            }
            Op::Refund(Key(key), n) => {
                let n = n.of(self.exact[key].quota().capacity());
                self.limiter.refund(&key, n);
                self.exact[key].refund(n, now);
            }
            Op::Charge(Key(key), n) => {
                let Some(handle) = &self.handles[key] else { return };
                let n = n.of(handle.quota().capacity());
                let (charged, range) = (handle.charge(n), self.exact[key].charged(n, now));
                assert!(
                    charged <= *range.end() && (charged >= *range.start() || self.is_late()),
                    "{charged} of {range:?}"
                );
                self.took(key, charged);
            }
            Op::UpTo(Key(key), n) => {
                let Some(handle) = &self.handles[key] else { return };
                let n = n.of(handle.quota().capacity());
                let (taken, range) = (handle.try_acquire_up_to(n), self.exact[key].up_to(n, now));
                assert!(taken <= *range.end() && (taken >= *range.start() || self.is_late()), "{taken} of {range:?}");
                self.took(key, taken);
            }
            Op::Change(Key(key), quota) => {
                let Some(handle) = self.handles[key].as_ref().filter(|_| !self.is_late()) else { return };
                handle.set_quota(quota.into()).expect("a valid quota");
                self.exact[key].change(quota.into(), now);
            }
            Op::Handle(Key(key)) => match self.handles[key].take() {
                Some(handle) => {
                    drop(handle);
                    // What it has set is over.
                    if self.exact[key].quota() != quota {
                        self.exact[key].change(quota, now);
                    }
                }
                // One without a place has none for as long as it lives.
                None => self.handles[key] = Some(self.limiter.handle(key)).filter(|_| self.limiter.contains_key(&key)),
            },
            Op::Remove(Key(key)) => {
                let is_known = self.limiter.contains_key(&key);
                assert_eq!(self.limiter.remove(&key), is_known);
                // Of whom it knew nothing it forgets nothing, here and below.
                if is_known {
                    self.exact[key] = self.afresh(key, quota);
                }
            }
            Op::Clear => {
                for key in 0..KEYS {
                    if self.limiter.contains_key(&key) {
                        self.exact[key] = self.afresh(key, self.exact[key].quota());
                    }
                }
                self.limiter.clear();
            }
            Op::Cleanup => assert!(self.limiter.cleanup() <= KEYS),
        }
    }

    fn check(&self) {
        assert!(self.limiter.len() <= MAX_KEYS);
        for (key, exact) in self.exact.iter().enumerate() {
            let (available, range) = (self.limiter.available(&key), exact.available(self.time.now));
            assert!(
                available <= *range.end() && (available >= *range.start() || self.is_late()),
                "{available} of {range:?}"
            );
            if let Some(handle) = &self.handles[key] {
                assert_eq!((handle.available(), handle.quota()), (available, exact.quota()));
            }
        }
    }
}

fuzz_target!(|case: Case| {
    let (quota, time) = (Quota::from(case.quota), Time::from(1 << 40));
    let limiter = PerKeyRateLimiter::builder(quota)
        .clock(time.clock.clone())
        .cleanup_interval(Duration::from_nanos(case.interval.0))
        .max_keys(MAX_KEYS)
        .build()
        .expect("a valid quota");
    let exact = std::array::from_fn(|_| Exact::new(quota, time.now));
    let mut keys = Keys { time, quota, limiter, exact, handles: Default::default() };
    for op in case.ops {
        keys.run(op);
        keys.check();
    }
});
