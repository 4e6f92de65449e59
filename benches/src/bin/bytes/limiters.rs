//! What a limiter takes: itself, and what it has allocated before and after two threads have used it.

use core::num::NonZeroU32;
use core::time::Duration;
use std::thread;

use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter};
use pingora_limits::rate::Rate;
use rate_net::{Algorithm, DirectLimiter};
use sluicegate::{
    AdaptiveRateLimiter, FixedWindowCounter, MonotonicClock, PerKeyRateLimiter, Quota, SlidingWindowCounter,
    StripedTokenBucket, TokenBucket,
};
use sluicegate_benches::counting::counted;
use sluicegate_benches::machine::with_version;
use sluicegate_benches::mutex::{ParkingLotMonotonic, StdMonotonic};
use sluicegate_benches::mutex_keyed::MutexKeyed;
use sluicegate_benches::mutex_sharded::ShardedKeyed;
use sluicegate_benches::subjects::keyed::Keyed;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::Row;

const RATE: NonZeroU32 = NonZeroU32::MIN.saturating_add(1_000 - 1);
const SECOND: Duration = Duration::from_secs(1);

/// All of one kind together take about as many bytes at most.
const BUDGET: usize = 64 << 20;

/// Of one limiter.
struct Size {
    name: &'static str,
    /// How many were made.
    count: usize,
    itself: usize,
    /// Allocated by it.
    made: f64,
    /// The same when two threads have used it.
    used: f64,
}

pub(crate) fn print(count: usize) -> Vec<Row> {
    println!(
        "\nBytes a limiter of {RATE} permits a second, mean of up to {count}: itself, what it has allocated when it is made"
    );
    println!("and after each of two threads asked it four times; those by key for one key, the same.\n");
    println!("| bytes a limiter | itself | allocated, new | allocated, used by 2 threads | in all |");
    println!("| --- | ---: | ---: | ---: | ---: |");
    let mut rows = Vec::new();
    for Size { name, count, itself, made, used } in everybody(count) {
        let all = itself as f64 + used;
        println!("| {} | {itself} | {made:.0} | {used:.0} | {all:.0} |", with_version(name));
        let row = |measure, bytes| Row { table: "limiter", limiter: name, measure, count, bytes };
        rows.extend([row("itself", itself as f64), row("allocated_new", made), row("allocated_used", used)]);
    }
    rows
}

fn everybody(count: usize) -> Vec<Size> {
    ours(count).into_iter().chain(peers(count)).chain(by_key(count)).collect()
}

fn ours(count: usize) -> [Size; 9] {
    let (quota, limit) = (Quota::per_second(u64::from(RATE.get())), u64::from(RATE.get()));
    macro_rules! size {
        ($name:literal, $builder:expr) => {
            size($name, count, || $builder.build().expect("it fits"), |limiter| limiter.try_acquire().is_ok())
        };
    }
    [
        size!("sluicegate", TokenBucket::builder(quota)),
        size!("sluicegate_stats", TokenBucket::builder(quota).stats()),
        size!("sluicegate_striped", StripedTokenBucket::builder(quota)),
        size!("sluicegate_striped_stats", StripedTokenBucket::builder(quota).stats()),
        size!("sluicegate_fixed_window", FixedWindowCounter::builder(limit, SECOND)),
        size!("sluicegate_fixed_window_stats", FixedWindowCounter::builder(limit, SECOND).stats()),
        size!("sluicegate_sliding_window", SlidingWindowCounter::builder(limit, SECOND)),
        size!("sluicegate_sliding_window_stats", SlidingWindowCounter::builder(limit, SECOND).stats()),
        // Which always counts.
        size!("sluicegate_adaptive", AdaptiveRateLimiter::builder().base_rate(f64::from(RATE.get()))),
    ]
}

fn peers(count: usize) -> [Size; 10] {
    let rate = f64::from(RATE.get());
    let rate_net = |algorithm| move || DirectLimiter::per_second(RATE.get()).with_algorithm(algorithm);
    let governor = || DefaultDirectRateLimiter::direct(governor::Quota::per_second(RATE));
    let leaky_bucket = || {
        let mut builder = leaky_bucket::RateLimiter::builder();
        builder.interval(SECOND / 1_000).refill(RATE.get() as usize / 1_000).max(RATE.get() as usize);
        builder.initial(RATE.get() as usize).build()
    };
    let ratelimit =
        || ratelimit::Ratelimiter::builder(u64::from(RATE.get())).initial_available(u64::from(RATE.get())).build();
    let better_bucket = || better_bucket::Bucket::per_second(RATE.get());
    let pool = |pool: &Semaphore| pool.try_acquire().map(SemaphorePermit::forget).is_ok();
    [
        size("governor", count, governor, |limiter| limiter.check().is_ok()),
        size("ratelimit", count, || ratelimit().expect("it fits"), |limiter| limiter.try_wait().is_ok()),
        size("leaky_bucket", count, leaky_bucket, |limiter| limiter.try_acquire(1)),
        size("better_bucket", count, better_bucket, |limiter| limiter.try_acquire(1)),
        size("rate_net", count, rate_net(Algorithm::TokenBucket), |limiter| limiter.check().is_allow()),
        size("rate_net_fixed_window", count, rate_net(Algorithm::FixedWindow), |limiter| limiter.check().is_allow()),
        size("pingora_limits", count, || Rate::new(SECOND), |rate| rate.observe(&7_u64, 1) <= RATE.get() as isize),
        size("tokio_semaphore", count, || Semaphore::new(RATE.get() as usize), pool),
        size(
            "std_mutex",
            count,
            || StdMonotonic::new(rate, rate, MonotonicClock::new()),
            |limiter| limiter.try_acquire(),
        ),
        size(
            "parking_lot_mutex",
            count,
            || ParkingLotMonotonic::new(rate, rate, MonotonicClock::new()),
            |limiter| limiter.try_acquire(),
        ),
    ]
}

fn by_key(count: usize) -> [Size; 5] {
    fn one<L: Keyed<u64>>(name: &'static str, count: usize) -> Size {
        size(name, count, || L::make(Duration::from_secs(3_600)), |limiter: &L| limiter.take(&7))
    }
    [
        one::<PerKeyRateLimiter<u64>>("sluicegate_per_key", count),
        one::<DefaultKeyedRateLimiter<u64>>("governor_keyed", count),
        one::<rate_net::RateLimiter>("rate_net_keyed", count),
        one::<MutexKeyed<u64>>("std_mutex_hash_map", count),
        one::<ShardedKeyed<u64>>("sharded_mutex_monotonic", count),
    ]
}

fn size<L: Sync>(name: &'static str, count: usize, make: impl Fn() -> L, ask: impl Fn(&L) -> bool + Sync) -> Size {
    // What the first one in a process allocates for all of them is nobody's.
    assert!(ask(&make()), "{name} is full");
    let (_one, bytes) = counted(&make);
    let itself = size_of::<L>();
    let count = count.min(BUDGET / (itself + bytes.unsigned_abs())).max(1);
    let mut limiters = Vec::with_capacity(count);
    let ((), made) = counted(|| limiters.extend((0..count).map(|_| make())));
    let ((), used) = counted(|| {
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for limiter in limiters.iter().cycle().take(4 * count) {
                        assert!(ask(limiter), "{name} is far from empty");
                    }
                });
            }
        });
    });
    let of_one = |bytes: isize| bytes as f64 / count as f64;
    Size { name, count, itself, made: of_one(made), used: of_one(made + used) }
}

#[cfg(test)]
mod tests {
    use super::{everybody, size};

    /// One test: the allocator counts for the whole process.
    #[test]
    fn counts_a_limiter_before_and_after_its_first_use() {
        let lazy = |used: &std::sync::OnceLock<Box<[u8; 10_000]>>| used.get_or_init(|| Box::new([1; 10_000]))[0] == 1;
        let found = size("lazy", 100, std::sync::OnceLock::new, lazy);
        assert_eq!((found.count, found.itself, found.made), (100, 16, 0.0));
        assert!((10_000.0..10_100.0).contains(&found.used), "{}", found.used);
        // Which asks all of them, and asserts that they grant. A thread that ends may give back a little late.
        assert!(everybody(100).iter().all(|size| size.itself > 0 && size.used > size.made - 10.0));
    }
}
