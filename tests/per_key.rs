//! The limiter by key: who is let in and under which name; and, each in a file, keys and clocks that call back, and numbers
//! at their ends.
//!
//! "Kills" names a change of the library that the test was seen to fail on.

#![allow(missing_docs)]
#![cfg(feature = "per-key")]

#[path = "per_key/callbacks.rs"]
mod callbacks;
#[path = "per_key/extremes.rs"]
mod extremes;
mod support;

use std::borrow::Borrow;
use std::cell::Cell;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use sluicegate::{
    Clock, KeyRef, ManualClock, MonotonicClock, Nanos, PerKeyRateLimiter, PerKeyRateLimiterBuilder, Quota,
    RateLimitExceeded, TokenBucket, WhenFull,
};
use support::clocks::CountingClock;
use support::quotas::SECOND;

const NANO: Duration = Duration::from_nanos(1);

fn new<K: Eq + Hash>(quota: Quota) -> (PerKeyRateLimiter<K, ManualClock>, ManualClock) {
    let clock = ManualClock::new();
    (PerKeyRateLimiter::builder(quota).clock(clock.clone()).build().unwrap(), clock)
}

// --- Names

#[test]
fn a_key_is_looked_up_by_what_it_lends() {
    let (by_name, _) = new::<String>(Quota::per_hour(2));
    assert_eq!(by_name.try_acquire("alice"), Ok(()));
    assert_eq!(by_name.try_acquire(&String::from("alice")), Ok(()));
    assert!(by_name.try_acquire("alice").is_err() && by_name.try_acquire("alic").is_ok());
    assert!(by_name.contains_key("alice") && !by_name.contains_key(""));
    by_name.refund("alice", 1);
    assert_eq!((by_name.available("alice"), by_name.time_to_available("alice", 1)), (1, Ok(Duration::ZERO)));
    assert!(by_name.remove("alice") && !by_name.remove("alice"));

    let (by_bytes, _) = new::<Vec<u8>>(Quota::per_hour(1));
    assert!(by_bytes.try_acquire(&b"\0\xff"[..]).is_ok() && by_bytes.try_acquire(&vec![0, 255]).is_err());
    assert!(by_bytes.try_acquire(&[][..]).is_ok() && by_bytes.contains_key(&Vec::new()));

    let (by_pair, _) = new::<(u32, &'static str)>(Quota::per_hour(1));
    assert!(by_pair.try_acquire(&(1, "a")).is_ok() && by_pair.try_acquire(&(1, "b")).is_ok());
    assert!(by_pair.try_acquire(&(1, "a")).is_err());

    let (of_one, _) = new::<()>(Quota::per_hour(1));
    assert!(of_one.try_acquire(&()).is_ok() && of_one.try_acquire(&()).is_err());
    assert_eq!(of_one.len(), 1);
}

/// A name that counts how often it becomes a key.
#[repr(transparent)]
#[derive(Debug, PartialEq, Eq, Hash)]
struct Name([u8]);

#[derive(Debug, PartialEq, Eq, Hash)]
struct Owned(Vec<u8>);

thread_local! {
    static OWNED: Cell<u64> = const { Cell::new(0) };
}

impl Name {
    fn of(bytes: &[u8]) -> &Self {
        #[allow(unsafe_code)]
        // SAFETY: the layout is that of the slice.
        unsafe {
            &*(std::ptr::from_ref(bytes) as *const Self)
        }
    }
}

impl Borrow<Name> for Owned {
    fn borrow(&self) -> &Name {
        Name::of(&self.0)
    }
}

impl ToOwned for Name {
    type Owned = Owned;

    fn to_owned(&self) -> Owned {
        OWNED.set(OWNED.get() + 1);
        Owned(self.0.to_vec())
    }
}

/// A key is owned when it is let in, and by no other call.
#[test]
fn only_a_newcomer_is_owned() {
    let (limiter, clock) = new::<Owned>(Quota::per_second(2));
    let name = Name::of(b"carol");
    let calls = |limiter: &PerKeyRateLimiter<Owned, ManualClock>| {
        limiter.refund(name, 1);
        let _ = (limiter.available(name), limiter.time_to_available(name, 1), limiter.contains_key(name));
        let _ = (limiter.try_acquire_n(name, 0), limiter.try_acquire_n(name, 3), limiter.key(name).available());
    };
    calls(&limiter);
    assert!(!limiter.remove(name));
    assert_eq!(OWNED.get(), 0);
    assert_eq!(limiter.try_acquire(name), Ok(()));
    assert_eq!(OWNED.get(), 1);
    for _ in 0..10 {
        calls(&limiter);
        let _ = (limiter.try_acquire(name), limiter.try_acquire_n(name, 2));
        clock.advance(Duration::from_millis(300));
    }
    assert!(limiter.remove(name));
    assert_eq!(OWNED.get(), 1);
}

#[test]
fn a_key_ref_says_what_the_limiter_says() {
    let (limiter, clock) = new::<String>(Quota::per_second(4));
    let alice = limiter.key("alice");
    assert_eq!((alice.available(), limiter.len()), (4, 0));
    assert_eq!(alice.try_acquire_n(3), Ok(()));
    assert_eq!(alice.try_acquire(), Ok(()));
    assert_eq!(alice.try_acquire(), limiter.try_acquire("alice"));
    assert_eq!(alice.time_to_available(2), Ok(Duration::from_millis(500)));
    assert_eq!(alice.time_to_available(5), limiter.time_to_available("alice", 5));
    clock.advance(Duration::from_millis(250));
    let copy = alice;
    assert_eq!((copy.available(), alice.available(), limiter.available("alice")), (1, 1, 1));
    copy.refund(2);
    assert_eq!(alice.available(), 3);
    // It is a name, not a place: it outlives what was known.
    limiter.clear();
    assert_eq!((alice.available(), alice.try_acquire_n(4)), (4, Ok(())));
    assert!(limiter.contains_key("alice") && alice.try_acquire_n(5) == limiter.try_acquire_n("alice", 5));
    assert!(format!("{alice:?}").contains("alice"), "{alice:?}");
}

// --- Who is let in

/// Kills: a place that a denial keeps.
#[test]
fn only_a_charge_lets_a_key_in() {
    let (limiter, clock) = new::<u64>(Quota::per_second(5));
    for n in [0, 6, 7, 1 << 40, 1 << 58, 1 << 62, u64::MAX] {
        let answer = limiter.try_acquire_n(&n, n);
        let never = Err(RateLimitExceeded::ExceedsCapacity { requested: n, capacity: 5 });
        assert_eq!(answer, if n == 0 { Ok(()) } else { never });
        limiter.refund(&n, n);
        assert_eq!(limiter.available(&n), 5);
        assert_eq!(limiter.time_to_available(&n, n).is_ok(), n == 0);
        assert!(!limiter.contains_key(&n) && limiter.is_empty() && !limiter.remove(&n));
    }
    assert_eq!(limiter.cleanup(), 0);
    // Nor does a denial of one who starts below a burst, since it was forgotten later than it calls.
    assert_eq!(limiter.try_acquire(&1), Ok(()));
    clock.advance(Duration::from_secs(100));
    assert_eq!((limiter.cleanup(), limiter.len()), (1, 0));
    clock.set(Nanos::from_nanos(SECOND));
    assert!(limiter.try_acquire(&1).is_err() && limiter.is_empty());
    clock.set(Nanos::from_nanos(100 * SECOND));
    assert_eq!(limiter.try_acquire_n(&2, 5), Ok(()));
    assert_eq!((limiter.len(), limiter.is_empty(), limiter.contains_key(&2)), (1, false, true));
}

/// What a key owes is forgotten with it, and only then; places are free again.
#[test]
fn removed_and_cleared_keys_start_afresh() {
    let clock = ManualClock::new();
    let builder = PerKeyRateLimiter::<u32>::builder(Quota::per_hour(3)).clock(clock).max_keys(3);
    let limiter = builder.build().unwrap();
    let fill = || assert!((0..3).all(|key| limiter.try_acquire_n(&key, 3).is_ok()));
    fill();
    assert_eq!(limiter.try_acquire(&3), Err(RateLimitExceeded::KeysExhausted { max_keys: 3 }));
    assert!(limiter.remove(&1) && !limiter.remove(&1) && !limiter.remove(&3));
    assert_eq!((limiter.len(), limiter.available(&1), limiter.available(&0)), (2, 3, 0));
    assert_eq!(limiter.try_acquire(&3), Ok(()));
    assert_eq!(limiter.try_acquire(&1), Err(RateLimitExceeded::KeysExhausted { max_keys: 3 }));
    limiter.clear();
    assert!(limiter.is_empty() && !limiter.contains_key(&0) && limiter.cleanup() == 0);
    fill();
    limiter.clear();
    limiter.clear();
    fill();
    assert_eq!(limiter.len(), 3);
    // The share of those without a place is nobody's own: it stays.
    let builder = PerKeyRateLimiter::<u32>::builder(Quota::per_hour(3)).clock(ManualClock::new());
    let limiter = builder.max_keys(1).when_full(WhenFull::Share).build().unwrap();
    assert!((0..2).all(|key| limiter.try_acquire_n(&key, 3).is_ok()) && limiter.try_acquire(&2).is_err());
    limiter.clear();
    assert!((3..4).all(|key| limiter.try_acquire_n(&key, 3).is_ok()) && limiter.try_acquire(&4).is_err());
    // It has a share, but none of its own to give back or to see.
    limiter.refund(&4, 3);
    assert!(limiter.try_acquire(&4).is_err());
}

/// Kills: `retry_after` a nanosecond more.
#[test]
fn retry_after_is_exact_to_the_nanosecond() {
    let quotas = [
        Quota::per_second(3),
        Quota::per_second(1_000_000).burst(7),
        Quota::per(7, Duration::from_nanos(65_537)),
        Quota::per_day(1).burst(3),
    ];
    for quota in quotas {
        let (limiter, clock) = new::<&'static str>(quota);
        clock.advance(Duration::from_nanos(12_345));
        assert_eq!(limiter.try_acquire_n(&"a", quota.capacity()), Ok(()));
        for n in 1..=quota.capacity() {
            let wait = limiter.try_acquire_n(&"a", n).unwrap_err().retry_after().unwrap();
            assert_eq!(limiter.time_to_available(&"a", n), Ok(wait));
            clock.advance(wait - NANO);
            assert_eq!(limiter.try_acquire_n(&"a", n), Err(RateLimitExceeded::Denied { retry_after: NANO }));
            assert_eq!(limiter.time_to_available(&"a", n), Ok(NANO));
            assert_eq!(limiter.available(&"a"), n - 1);
            clock.advance(NANO);
            assert_eq!(limiter.try_acquire_n(&"a", n), Ok(()));
            assert_eq!(limiter.available(&"a"), 0);
        }
    }
}

/// One hash, one reading of the clock, in its own count.
#[test]
fn the_clock_is_read_once_a_call_and_not_for_nothing() {
    let clock = CountingClock::default();
    let limiter = PerKeyRateLimiter::<u32, _>::builder(Quota::per_second(2)).clock(&clock).build().unwrap();
    let reads = |call: &dyn Fn(), readings| {
        clock.readings();
        call();
        assert_eq!(clock.readings(), readings);
    };
    reads(&|| assert!(limiter.try_acquire_n(&1, 0).is_ok()), 0);
    for _ in 0..3 {
        reads(&|| _ = limiter.try_acquire(&1), 1);
        reads(&|| _ = limiter.available(&1), 1);
        reads(&|| _ = limiter.time_to_available(&1, 1), 1);
        reads(&|| limiter.refund(&1, 0), 1);
        reads(&|| _ = limiter.cleanup(), 1);
        reads(&|| _ = (limiter.len(), limiter.is_empty(), limiter.contains_key(&1), limiter.quota()), 0);
    }
    assert_eq!(clock.reads_of_now(), 0);
}

// --- What cannot be built

#[test]
fn what_cannot_be_built_names_its_field() {
    let builder = || PerKeyRateLimiter::<u32>::builder(Quota::per_second(1));
    let field = |builder: PerKeyRateLimiterBuilder<u32>| {
        let error = builder.build().unwrap_err();
        assert!(error.to_string().starts_with(error.field()), "{error}");
        error.field()
    };
    assert_eq!(field(builder().max_keys(0)), "max_keys");
    assert_eq!(field(builder().cleanup_interval(Duration::ZERO)), "cleanup_interval");
    let quotas = [
        (Quota::per_second(0), "permits"),
        (Quota::per(1, Duration::ZERO), "period"),
        (Quota::from_rate(f64::NAN), "rate"),
        (Quota::per_second(u64::MAX), "rate"),
        (Quota::per_second(1).burst(0), "burst"),
        (Quota::per_day(3).burst(1 << 40), "burst"),
    ];
    for (quota, name) in quotas {
        assert_eq!(field(PerKeyRateLimiter::builder(quota)), name);
        let error = PerKeyRateLimiter::<u32>::new(quota).unwrap_err();
        assert_eq!(error, TokenBucket::new(quota).unwrap_err());
    }
    // The shortest and the longest are none.
    for interval in [NANO, Duration::MAX] {
        let limiter = builder().cleanup_interval(interval).max_keys(usize::MAX).build().unwrap();
        assert!(limiter.try_acquire(&1).is_ok() && limiter.cleanup() <= 1);
        assert_eq!(limiter.quota(), Quota::per_second(1));
    }
    // Later settings hold, whatever the order.
    let built = builder().max_keys(0).cleanup_interval(Duration::ZERO).when_full(WhenFull::Share).max_keys(1);
    let built = built.clock(ManualClock::new()).cleanup_interval(NANO).build().unwrap();
    assert!(built.try_acquire(&1).is_ok() && built.try_acquire(&2).is_ok() && built.len() == 1);
    // And the same builder by its constructor.
    let clock = ManualClock::new();
    assert!(PerKeyRateLimiterBuilder::<u32, _>::new(Quota::per_second(1), clock).build().unwrap().is_empty());
}

#[test]
fn everything_is_debug_and_goes_to_other_threads() {
    fn sent<T: Send + Sync + Debug>(_: &T) {}
    let (limiter, _) = new::<String>(Quota::per_second(7));
    let _ = limiter.try_acquire("a secret");
    sent(&limiter);
    sent(&limiter.key("alice"));
    sent(&PerKeyRateLimiter::<Box<str>>::builder(Quota::per_second(1)));
    sent(&WhenFull::Deny);
    fn is<T: Send + Sync>() {}
    is::<PerKeyRateLimiter<Vec<u8>, Arc<dyn Clock>>>();
    is::<KeyRef<'static, String, str, MonotonicClock>>();
    let told = format!("{limiter:?} {:?}", PerKeyRateLimiter::<u32>::builder(Quota::per_second(1)).max_keys(77));
    for part in ["PerKeyRateLimiter", "permits: 7", "keys: 1", "max_keys: 77", "when_full: Deny", "Builder"] {
        assert!(told.contains(part), "{part} in {told}");
    }
    assert!(!told.contains("secret"), "keys are other people's: {told}");
    static LIMITER: std::sync::LazyLock<PerKeyRateLimiter<u32>> =
        std::sync::LazyLock::new(|| PerKeyRateLimiter::new(Quota::per_hour(1)).unwrap());
    assert!(thread::spawn(|| LIMITER.try_acquire(&1)).join().unwrap().is_ok() && LIMITER.try_acquire(&1).is_err());
}
