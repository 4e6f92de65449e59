//! What each per-key limiter has allocated when it knows so many keys, by key.

use core::time::Duration;

use governor::DefaultKeyedRateLimiter;
use rate_net::RateLimiter;
use sluicegate::PerKeyRateLimiter;
use sluicegate_benches::counting::counted;
use sluicegate_benches::mutex_keyed::MutexKeyed;
use sluicegate_benches::mutex_sharded::ShardedKeyed;
use sluicegate_benches::subjects::keyed::kinds::{Counted, QUOTA_FOR, STATS, Tiered};
use sluicegate_benches::subjects::keyed::{
    GOVERNOR, Key, Keyed, MUTEX, OURS, PINGORA, RATE_NET, SHARDED_MONOTONIC, sketch,
};

use crate::Row;

/// A map that has just grown has up to twice as many places as it needs, so the number of keys matters, and is the same
/// for everybody.
pub(crate) fn print(keys: u32) -> Vec<Row> {
    let (number, string) = (|key| u64::from(key), |key| format!("{key:016x}"));
    macro_rules! row {
        ($name:ident, $Limiter:ident) => {
            ($name, by_key::<$Limiter<_>, _>(keys, number), by_key::<$Limiter<_>, _>(keys, string))
        };
    }
    let (_sketch, bytes) = counted(|| sketch(keys));
    let counts = bytes as f64 / f64::from(keys);
    let rows = [
        row!(OURS, PerKeyRateLimiter),
        row!(STATS, Counted),
        row!(QUOTA_FOR, Tiered),
        row!(GOVERNOR, DefaultKeyedRateLimiter),
        row!(MUTEX, MutexKeyed),
        row!(SHARDED_MONOTONIC, ShardedKeyed),
        (RATE_NET, by_key::<RateLimiter, _>(keys, number), by_key::<RateLimiter, _>(keys, string)),
        (PINGORA, counts, counts),
    ];
    let theirs = rows.iter().find(|(name, ..)| *name == GOVERNOR).map_or((f64::NAN, f64::NAN), |row| (row.1, row.2));
    println!("\nBytes a key, itself included, at {keys} keys; ratio: to {GOVERNOR}. {PINGORA} keeps no keys: four");
    println!("columns a key, and a second set of them, whether keys come or not.\n");
    println!("| bytes a key | u64 | ratio | String of 16 | ratio |");
    println!("| --- | ---: | ---: | ---: | ---: |");
    for (name, number, string) in rows {
        let ratios = (number / theirs.0, string / theirs.1);
        println!("| {name} | {number:.1} | {:.3} | {string:.1} | {:.3} |", ratios.0, ratios.1);
    }
    let row = |limiter, measure, bytes| Row { table: "key", limiter, measure, count: keys as usize, bytes };
    rows.into_iter()
        .flat_map(|(name, number, string)| [row(name, "u64", number), row(name, "string16", string)])
        .collect()
}

fn by_key<L: Keyed<K>, K: Key>(keys: u32, key: impl Fn(u32) -> K) -> f64 {
    // Nobody is dropped meanwhile.
    let make = || L::make(Duration::from_secs(3_600));
    // What the first one in a process allocates for all of them is no key's.
    assert!(make().take(&key(0)), "a new key has its burst");
    let (limiter, bytes) = counted(|| {
        let limiter = make();
        for number in 0..keys {
            assert!(limiter.take(&key(number)), "a new key has its burst");
        }
        limiter
    });
    assert_eq!(limiter.count(), keys as usize);
    bytes as f64 / f64::from(keys)
}
