//! Keys and clocks that call the limiter back, and keys that panic: nothing hangs and nothing is lost.
//!
//! "Kills" names a change of the library that the test was seen to fail on.

use std::cell::Cell;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::thread;
use std::time::Duration;

use sluicegate::{Clock, ManualClock, Nanos, PerKeyRateLimiter, Quota, RateLimitExceeded};

/// Runs what must not hang on a thread of its own, and fails if it does.
fn within_seconds(what: &str, call: impl FnOnce() + Send + 'static) {
    let (done, is_done) = mpsc::channel();
    let running = thread::spawn(move || {
        call();
        let _ = done.send(());
    });
    match is_done.recv_timeout(Duration::from_secs(5)) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("{what}: hangs"),
        _ => running.join().unwrap(),
    }
}

type Guests = PerKeyRateLimiter<Guest, ManualClock>;

/// A key whose copies, those that are the limiter's, call it when they are dropped: for others, who come once.
struct Guest {
    number: u64,
    limiter: Weak<Guests>,
    /// Of whom so many come.
    friends: u64,
    is_copy: bool,
    drops: Arc<AtomicU64>,
}

impl Clone for Guest {
    fn clone(&self) -> Self {
        let (limiter, drops) = (Weak::clone(&self.limiter), Arc::clone(&self.drops));
        Self { number: self.number, limiter, friends: self.friends, is_copy: true, drops }
    }
}

impl PartialEq for Guest {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Guest {}

impl Hash for Guest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.number.hash(state);
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.drops.fetch_add(1, Ordering::Relaxed);
        if !self.is_copy || self.friends == 0 {
            return;
        }
        let Some(limiter) = self.limiter.upgrade() else { return };
        for friend in 1..=self.friends {
            let number = self.number + (friend << 32);
            let other = Self { number, limiter: Weak::new(), friends: 0, is_copy: false, drops: Arc::default() };
            let _ = limiter.try_acquire(&other);
            let _ = (limiter.available(&other), limiter.time_to_available(&other, 1), limiter.contains_key(self));
            limiter.refund(&other, 1);
        }
        // Not all of them: who is swept here sweeps in turn, one inside the other.
        if self.number % 8 == 0 {
            limiter.cleanup();
        }
        let _ = (limiter.try_acquire_n(self, 0), limiter.len(), limiter.remove(self));
    }
}

fn party(max_keys: usize) -> (Arc<Guests>, ManualClock, impl Fn(u64, u64) -> Guest) {
    let clock = ManualClock::new();
    let builder = PerKeyRateLimiter::builder(Quota::per_second(1)).clock(clock.clone()).max_keys(max_keys);
    let limiter: Arc<Guests> = Arc::new(builder.cleanup_interval(Duration::from_secs(1)).build().unwrap());
    let (weak, drops) = (Arc::downgrade(&limiter), Arc::default());
    let guest = move |number, friends| {
        let (limiter, drops) = (Weak::clone(&weak), Arc::clone(&drops));
        Guest { number, limiter, friends, is_copy: false, drops }
    };
    (limiter, clock, guest)
}

/// By hand, by those who call, and all at once.
/// Kills: keys dropped under the shard's guard by a sweep; by `remove`; by `clear`.
#[test]
fn a_key_may_call_the_limiter_when_it_is_dropped() {
    within_seconds("cleanup", || {
        let (limiter, clock, guest) = party(usize::MAX);
        assert!((0..1_000).all(|number| limiter.try_acquire(&guest(number, 3)).is_ok()));
        clock.advance(Duration::from_secs(3));
        // The rest was dropped by those who were dropped.
        assert!(limiter.cleanup() > 0 && (0..1_000).all(|number| !limiter.contains_key(&guest(number, 0))));
        assert_eq!(limiter.len(), 3_000, "their friends are there now");
    });
    within_seconds("those who call", || {
        let (limiter, clock, guest) = party(usize::MAX);
        assert!((0..1_000).all(|number| limiter.try_acquire(&guest(number, 3)).is_ok()));
        clock.advance(Duration::from_secs(3));
        (0..100_000).for_each(|_| _ = limiter.try_acquire(&guest(0, 0)));
        assert!((1..1_000).all(|number| !limiter.contains_key(&guest(number, 0))));
    });
    within_seconds("remove and clear", || {
        let (limiter, _, guest) = party(usize::MAX);
        assert!((0..100).all(|number| limiter.try_acquire(&guest(number, 3)).is_ok()));
        assert!((0..50).all(|number| limiter.remove(&guest(number, 0))));
        limiter.clear();
        assert!((0..100).all(|number| !limiter.contains_key(&guest(number, 0))));
    });
    within_seconds("turned away", || {
        let (limiter, _, guest) = party(3);
        assert!((0..100).filter(|number| limiter.try_acquire(&guest(*number, 3)).is_ok()).count() <= 3);
    });
}

/// And when it has to make room: whoever it brings in has to find room as well. Kills: keys dropped under the lock of
/// who makes room.
#[test]
fn a_key_may_call_the_limiter_when_it_is_dropped_to_make_room() {
    within_seconds("room", || {
        let (limiter, clock, guest) = party(200);
        assert!((0..200).all(|number| limiter.try_acquire(&guest(number, 3)).is_ok()));
        clock.advance(Duration::from_secs(1));
        for number in 1_000..1_500 {
            let _ = limiter.try_acquire(&guest(number, 3));
            assert!(limiter.len() <= 200);
        }
    });
}

/// What was let in is dropped once, and nothing else is kept.
#[test]
fn every_key_is_dropped_once() {
    let (limiter, clock, guest) = party(500);
    let drops = guest(0, 0).drops.clone();
    let mut made = drops.load(Ordering::Relaxed);
    for round in 0..20 {
        for number in 0..800 {
            // Cloned where it is let in, or tried to be.
            let _ = limiter.try_acquire(&guest(round * 400 + number, 0));
            made += 1;
        }
        clock.advance(Duration::from_millis(700));
        match round % 4 {
            0 => _ = limiter.cleanup(),
            1 => limiter.clear(),
            2 => _ = limiter.remove(&guest(round * 400, 0)),
            _ => {}
        }
    }
    // The limiter's own copies are out: those that are known.
    let known = limiter.len();
    let strong = Arc::strong_count(&drops);
    assert_eq!(strong, known + 2, "one here, one in `guest`, and those that are known");
    limiter.clear();
    assert_eq!((limiter.len(), Arc::strong_count(&drops)), (0, 2));
    assert!(drops.load(Ordering::Relaxed) >= made + known as u64);
}

/// Keys whose hashes are all alike are one long shard, and still each its own.
#[test]
fn keys_with_one_hash_are_apart() {
    #[derive(Clone, PartialEq, Eq)]
    struct Alike(u32);
    impl Hash for Alike {
        fn hash<H: Hasher>(&self, state: &mut H) {
            0_u8.hash(state);
        }
    }
    let clock = ManualClock::new();
    let builder = PerKeyRateLimiter::<Alike>::builder(Quota::per_second(2)).clock(clock.clone());
    let limiter = builder.cleanup_interval(Duration::from_secs(1)).build().unwrap();
    for round in 0..3 {
        assert!((0..600).all(|key| limiter.try_acquire_n(&Alike(key), 1 + u64::from(key % 2)).is_ok()));
        assert!((0..600).all(|key| limiter.available(&Alike(key)) == u64::from(key % 2 == 0)));
        assert!((0..600).step_by(3).all(|key| limiter.remove(&Alike(key))));
        assert_eq!(limiter.len(), 400);
        clock.advance(Duration::from_secs(2));
        assert_eq!(limiter.cleanup(), 400, "in round {round}");
    }
}

/// A clock of the user's that keeps limits of its own.
#[derive(Default)]
struct Limited {
    time: ManualClock,
    limiter: OnceLock<Weak<PerKeyRateLimiter<u64, Arc<Limited>>>>,
    calls: AtomicU64,
}

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

impl Clock for Limited {
    fn now(&self) -> Nanos {
        let limiter = self.limiter.get().and_then(Weak::upgrade);
        if let Some(limiter) = limiter.filter(|_| !INSIDE.replace(true)) {
            let call = self.calls.fetch_add(1, Ordering::Relaxed);
            // The same keys and new ones.
            for key in [0, 1, call] {
                let _ = (limiter.try_acquire(&key), limiter.available(&key), limiter.contains_key(&key));
                limiter.refund(&key, 1);
            }
            let _ = (limiter.remove(&(call / 2)), limiter.cleanup(), format!("{limiter:?}"));
            INSIDE.set(false);
        }
        self.time.now()
    }
}

/// It is read before any guard is taken, or this would wait for itself.
#[test]
fn a_clock_may_call_the_limiter() {
    within_seconds("the clock", || {
        let clock = Arc::new(Limited::default());
        let builder = PerKeyRateLimiter::<u64>::builder(Quota::per_second(5)).clock(Arc::clone(&clock)).max_keys(50);
        let limiter = Arc::new(builder.cleanup_interval(Duration::from_secs(1)).build().unwrap());
        clock.limiter.set(Arc::downgrade(&limiter)).unwrap();
        for step in 0..2_000 {
            let key = step % 70;
            let _ = (limiter.try_acquire(&key), limiter.try_acquire_n(&key, 5), limiter.time_to_available(&key, 1));
            limiter.refund(&key, 1);
            let _ = (limiter.available(&key), limiter.cleanup());
            clock.time.advance(Duration::from_millis(30));
        }
        assert!(clock.calls.load(Ordering::Relaxed) > 5_000 && limiter.len() <= 50);
    });
}

/// A key whose clone or comparison panics harms nobody but its own call.
#[test]
fn a_key_that_panics_leaves_no_place_taken() {
    #[derive(Debug, PartialEq, Eq, Hash)]
    struct Fragile(u32);
    impl Clone for Fragile {
        fn clone(&self) -> Self {
            assert!(self.0 < 100, "too heavy");
            Self(self.0)
        }
    }
    let builder = PerKeyRateLimiter::<Fragile>::builder(Quota::per_hour(1)).clock(ManualClock::new());
    let limiter = Mutex::new(builder.max_keys(2).build().unwrap());
    assert!(limiter.lock().unwrap().try_acquire(&Fragile(1)).is_ok());
    thread::scope(|scope| {
        assert!(scope.spawn(|| limiter.lock().unwrap().try_acquire(&Fragile(100))).join().is_err());
    });
    let limiter = limiter.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    assert_eq!(limiter.len(), 1);
    assert!(limiter.try_acquire(&Fragile(2)).is_ok() && limiter.try_acquire(&Fragile(1)).is_err());
    assert_eq!(limiter.try_acquire(&Fragile(3)), Err(RateLimitExceeded::KeysExhausted { max_keys: 2 }));
}
