//! Limiters with a bucket for each key: ours, the peers', and the hash maps behind one mutex and behind many that people
//! write. Every call is granted.

pub mod kinds;
mod peers;

use core::cell::OnceCell;
use core::hash::Hash;
use core::hint::black_box;
use core::num::NonZeroU32;
use core::time::Duration;
use std::rc::Rc;

use crossbeam_utils::CachePadded;
use governor::DefaultKeyedRateLimiter;
use sluicegate::{KeyHandle, MonotonicClock, PerKeyRateLimiter, Quota};

pub use self::peers::{Bytes, sketch};

use super::{Subject, Suite};
use crate::harness::{self, Measurement};
use crate::key_sequence::KeySequence;
use crate::mutex::{InstantTime, Time};
use crate::mutex_keyed::MutexKeyed;
use crate::mutex_sharded::ShardedKeyed;

/// The name of the peer that everything is compared with.
pub const GOVERNOR: &str = "governor";
/// Our name.
pub const OURS: &str = "sluicegate";
/// Of our handles, which look into no map.
pub const HANDLE: &str = "sluicegate_handle";
/// Of our map where somebody has handles of the keys that are called for.
pub const BESIDE_HANDLE: &str = "sluicegate_beside_handle";
/// The name of the baseline.
pub const MUTEX: &str = "std_mutex_hash_map";
/// Of the same in 64 parts, on `Instant`.
pub const SHARDED_INSTANT: &str = "sharded_mutex_instant";
/// The same on our clock.
pub const SHARDED_MONOTONIC: &str = "sharded_mutex_monotonic";
/// Of a peer.
pub const RATE_NET: &str = "rate_net";
/// Of a peer that keeps counts and no keys.
pub const PINGORA: &str = "pingora_limits";

/// One permit each of these, and a burst of as many as governor can hold.
const INTERVAL: Duration = Duration::from_millis(1);
const BURST: NonZeroU32 = NonZeroU32::MAX;

/// What a key has taken before it is measured: half the burst. So its bucket is neither full nor empty, it owes for
/// weeks, and a clean-up lets it stay.
pub const DEBT: NonZeroU32 = NonZeroU32::MIN.saturating_add((1 << 31) - 1);

/// So many keys of [`Work::Churn`] go into one map.
const CHURN: u64 = 1 << 16;

/// All suites.
pub(super) fn suites() -> Vec<Suite> {
    Work::ALL.map(|work| Suite { name: work.name(), subjects: everybody(work) }).into()
}

/// What is asked of every subject. The keys are numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    /// All threads name the same key.
    HotKey,
    /// 1,000 keys, all known; each thread names one of its own, always the same.
    OwnKeys,
    /// 1,000 keys, all as likely, all known.
    Keys1k,
    /// 100,000 of them.
    Keys100k,
    /// A million of them.
    Keys1m,
    /// 1,000 keys by Zipf's law with exponent 1, all known: almost half of the calls goes to the first 15.
    Zipf1k,
    /// 100,000 of them: a third goes to the first 30.
    Zipf100k,
    /// A million of them.
    Zipf1m,
    /// Every call names a key that nobody has named before.
    ///
    /// The map is empty at first and is replaced by an empty one after 65,536 keys, all threads together: so what is
    /// measured is letting keys in, with a map's growth to that size, and without anybody who is dropped.
    Churn,
}

impl Work {
    const ALL: [Self; 9] = [
        Self::HotKey,
        Self::OwnKeys,
        Self::Keys1k,
        Self::Keys100k,
        Self::Keys1m,
        Self::Zipf1k,
        Self::Zipf100k,
        Self::Zipf1m,
        Self::Churn,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::HotKey => "hot_key",
            Self::OwnKeys => "own_keys",
            Self::Keys1k => "keys_1k",
            Self::Keys100k => "keys_100k",
            Self::Keys1m => "keys_1m",
            Self::Zipf1k => "zipf_1k",
            Self::Zipf100k => "zipf_100k",
            Self::Zipf1m => "zipf_1m",
            Self::Churn => "churn",
        }
    }

    /// How many are known before it is measured.
    const fn keys(self) -> u32 {
        match self {
            Self::HotKey => 1,
            Self::OwnKeys | Self::Keys1k | Self::Zipf1k => 1_000,
            Self::Keys100k | Self::Zipf100k => 100_000,
            Self::Keys1m | Self::Zipf1m => 1_000_000,
            Self::Churn => 0,
        }
    }

    /// Twice as long as there are keys, or more: most keys are in it.
    fn sequence(self) -> KeySequence {
        let length = (2 * self.keys() as usize).next_power_of_two().max(1 << 12);
        match self {
            Self::Zipf1k | Self::Zipf100k | Self::Zipf1m => KeySequence::zipf(self.keys(), length),
            // To which each thread adds what makes it its own.
            Self::OwnKeys => KeySequence::uniform(1, length),
            _ => KeySequence::uniform(self.keys(), length),
        }
    }

    /// What thread `index` adds to the keys that it draws.
    const fn first_key(self, index: usize) -> u64 {
        match self {
            Self::OwnKeys => index as u64 % self.keys() as u64,
            _ => 0,
        }
    }

    /// Whether each thread names one key only, so that it can have a handle of it.
    const fn has_handles(self) -> bool {
        matches!(self, Self::HotKey | Self::OwnKeys)
    }

    /// Whether a map is filled once and measured again and again: it takes longer than a measurement.
    const fn is_kept(self) -> bool {
        self.keys() > 10_000
    }
}

/// The one face. Its quota is one permit a millisecond and a burst of 2^32 - 1.
pub trait Keyed<K>: Sync + Sized + 'static {
    /// Without a key. Those that clean up by themselves do it so often.
    #[must_use]
    fn make(cleanup_interval: Duration) -> Self;
    /// Takes a permit of `key`'s.
    fn take(&self, key: &K) -> bool;
    /// Takes `n` permits of `key`'s.
    fn take_n(&self, key: &K, n: NonZeroU32) -> bool;
    /// How many keys are known.
    fn count(&self) -> usize;
}

/// One that gives handles of keys.
pub trait Held: Keyed<u64> {
    /// A handle of `key`.
    fn hold(&self, key: u64) -> KeyHandle<u64>;
}

/// What a key has to be.
pub trait Key: Clone + Eq + Hash + Send + Sync + 'static {}
impl<K: Clone + Eq + Hash + Send + Sync + 'static> Key for K {}

/// That of every limiter here.
fn quota() -> Quota {
    Quota::per(1, INTERVAL).burst(u64::from(BURST.get()))
}

impl Held for PerKeyRateLimiter<u64> {
    fn hold(&self, key: u64) -> KeyHandle<u64> {
        self.handle(key)
    }
}

impl<K: Key> Keyed<K> for PerKeyRateLimiter<K> {
    fn make(cleanup_interval: Duration) -> Self {
        Self::builder(quota()).cleanup_interval(cleanup_interval).build().expect("the quota fits")
    }

    #[inline(always)]
    fn take(&self, key: &K) -> bool {
        self.try_acquire(key).is_ok()
    }

    fn take_n(&self, key: &K, n: NonZeroU32) -> bool {
        self.try_acquire_n(key, u64::from(n.get())).is_ok()
    }

    fn count(&self) -> usize {
        self.len()
    }
}

impl<K: Key> Keyed<K> for DefaultKeyedRateLimiter<K> {
    /// Cleans up when it is told to.
    fn make(_: Duration) -> Self {
        let quota = governor::Quota::with_period(INTERVAL).expect("the interval is above zero");
        Self::dashmap(quota.allow_burst(BURST))
    }

    #[inline(always)]
    fn take(&self, key: &K) -> bool {
        self.check_key(key).is_ok()
    }

    fn take_n(&self, key: &K, n: NonZeroU32) -> bool {
        self.check_key_n(key, n).is_ok_and(|decision| decision.is_ok())
    }

    fn count(&self) -> usize {
        self.len()
    }
}

impl<K: Key> Keyed<K> for MutexKeyed<K> {
    /// Cleans up when it is told to.
    fn make(_: Duration) -> Self {
        Self::new(1.0 / INTERVAL.as_secs_f64(), f64::from(BURST.get()), InstantTime)
    }

    #[inline(always)]
    fn take(&self, key: &K) -> bool {
        self.try_acquire_n(key, 1)
    }

    fn take_n(&self, key: &K, n: NonZeroU32) -> bool {
        self.try_acquire_n(key, u64::from(n.get()))
    }

    fn count(&self) -> usize {
        self.len()
    }
}

impl<K: Key, T: Time + Default + 'static> Keyed<K> for ShardedKeyed<K, T> {
    /// Cleans up when it is told to.
    fn make(_: Duration) -> Self {
        Self::new(1.0 / INTERVAL.as_secs_f64(), f64::from(BURST.get()), T::default())
    }

    #[inline(always)]
    fn take(&self, key: &K) -> bool {
        self.try_acquire_n(key, 1)
    }

    fn take_n(&self, key: &K, n: NonZeroU32) -> bool {
        self.try_acquire_n(key, u64::from(n.get()))
    }

    fn count(&self) -> usize {
        self.len()
    }
}

fn everybody(work: Work) -> Vec<Subject> {
    // Drawn once for all of them, by the first one that is measured.
    let sequence = Rc::default();
    let mut subjects = vec![
        subject::<PerKeyRateLimiter<u64>>(OURS, work, &sequence),
        subject::<DefaultKeyedRateLimiter<u64>>(GOVERNOR, work, &sequence),
        subject::<MutexKeyed<u64>>(MUTEX, work, &sequence),
        subject::<ShardedKeyed<u64, InstantTime>>(SHARDED_INSTANT, work, &sequence),
        subject::<ShardedKeyed<u64, MonotonicClock>>(SHARDED_MONOTONIC, work, &sequence),
        subject::<rate_net::RateLimiter>(RATE_NET, work, &sequence),
    ];
    if work != Work::Churn {
        subjects.push(peers::counted(work, &sequence));
    }
    if work.has_handles() {
        subjects.insert(1, by_handle::<PerKeyRateLimiter<u64>>(HANDLE, work, &sequence));
        subjects.insert(2, beside_handle(work, &sequence));
    }
    subjects
}

/// Drawn when it is first needed.
type Sequence = Rc<OnceCell<KeySequence>>;

/// The keys of a thread.
fn keys_of(sequence: &KeySequence, work: Work, index: usize, threads: usize) -> impl FnMut() -> u64 + '_ {
    let (mut next, first) = (sequence.of_thread(index, threads), work.first_key(index));
    move || first + next()
}

/// Every call names its key.
fn subject<L: Keyed<u64>>(name: &'static str, work: Work, sequence: &Sequence) -> Subject {
    if work == Work::Churn {
        return Subject::checked(name, work.name(), true, churn::<L>);
    }
    let (sequence, kept) = (Rc::clone(sequence), OnceCell::new());
    Subject::checked(name, work.name(), true, move |threads, calls| {
        let sequence = sequence.get_or_init(|| work.sequence());
        let time = |limiter: &L| by_key(limiter, work, sequence, threads, calls);
        if work.is_kept() { time(kept.get_or_init(|| filled(work.keys()))) } else { time(&filled(work.keys())) }
    })
}

fn by_key<L: Keyed<u64>>(limiter: &L, work: Work, sequence: &KeySequence, threads: usize, calls: u64) -> Measurement {
    let keys = |index| keys_of(sequence, work, index, threads);
    harness::run_keyed(limiter, threads, calls, keys, |limiter, key| limiter.take(&key))
}

/// Each thread has a handle of its key. It draws the keys all the same, so that the loop is that of the others.
fn by_handle<L: Held>(name: &'static str, work: Work, sequence: &Sequence) -> Subject {
    let sequence = Rc::clone(sequence);
    Subject::checked(name, work.name(), true, move |threads, calls| {
        let (limiter, sequence) = (filled::<L>(work.keys()), sequence.get_or_init(|| work.sequence()));
        let own = |index| (limiter.hold(work.first_key(index)), keys_of(sequence, work, index, threads));
        harness::run_keyed_each(threads, calls, own, |handle, key| {
            black_box(key);
            handle.try_acquire().is_ok()
        })
    })
}

/// Every call names its key, and somebody else has a handle of it meanwhile.
fn beside_handle(work: Work, sequence: &Sequence) -> Subject {
    let sequence = Rc::clone(sequence);
    Subject::checked(BESIDE_HANDLE, work.name(), true, move |threads, calls| {
        let limiter = filled::<PerKeyRateLimiter<u64>>(work.keys());
        let handles: Vec<_> = (0..threads).map(|index| limiter.hold(work.first_key(index))).collect();
        let found = by_key(&*limiter, work, sequence.get_or_init(|| work.sequence()), threads, calls);
        drop(handles);
        found
    })
}

/// With that many keys, which owe. On cache lines that it shares with nothing of the harness.
fn filled<L: Keyed<u64>>(keys: u32) -> CachePadded<L> {
    let limiter = fresh::<L>();
    for key in 0..keys {
        assert!(limiter.take_n(&u64::from(key), DEBT), "a new key has its burst");
    }
    limiter
}

/// What is usual: a clean-up every minute, if it cleans up by itself.
fn fresh<L: Keyed<u64>>() -> CachePadded<L> {
    CachePadded::new(L::make(Duration::from_secs(60)))
}

fn churn<L: Keyed<u64>>(threads: usize, calls: u64) -> Measurement {
    let a_map = (CHURN / threads as u64).max(1);
    let mut sum = Measurement { wall: Duration::ZERO, decisions: 0, admitted: 0 };
    let mut done = 0;
    while done < calls {
        let limiter = fresh::<L>();
        let these = a_map.min(calls - done);
        let keys = |index: usize| {
            let mut next = (index as u64) << 32;
            move || {
                next += 1;
                next
            }
        };
        let found = harness::run_keyed(&*limiter, threads, these, keys, |limiter: &L, key| limiter.take(&key));
        assert_eq!(limiter.count() as u64, found.decisions, "every key was a new one");
        sum.wall += found.wall;
        sum.decisions += found.decisions;
        sum.admitted += found.admitted;
        done += these;
    }
    sum
}
