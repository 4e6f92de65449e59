//! Bytes a key: what each per-key limiter has allocated when it knows so many keys, as counted by the allocator.
//!
//! ```text
//! cargo run --release -p sluicegate-benches --bin bytes
//! ```
//!
//! Counted is what was asked for, keys included, and not what the allocator makes of it. A map that has just grown has
//! up to twice as many places as it needs, so the number of keys matters, and is the same for everybody.

use core::num::NonZeroU64;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;
use std::alloc::{GlobalAlloc, Layout, System};
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::Parser;
use governor::DefaultKeyedRateLimiter;
use sluicegate::PerKeyRateLimiter;
use sluicegate_benches::machine;
use sluicegate_benches::mutex_keyed::MutexKeyed;
use sluicegate_benches::subjects::keyed::kinds::{Counted, QUOTA_FOR, STATS, Tiered};
use sluicegate_benches::subjects::keyed::{GOVERNOR, Key, Keyed, MUTEX, OURS};

/// The system's allocator, and how many bytes are out.
struct Counting;

static BYTES: AtomicUsize = AtomicUsize::new(0);

#[allow(unsafe_code)]
// SAFETY: every method passes its arguments on to `System`, whose contract is the same.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // Ordering: Relaxed, here and below; one thread counts.
        BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises, and `at` came from `System`.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Counts what a key costs and prints it as Markdown.
#[derive(Debug, Parser)]
#[command(name = "bytes")]
struct Args {
    /// How many keys.
    #[arg(long, default_value = "1000000")]
    keys: NonZeroU64,
    /// Where to put the same as CSV.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
}

fn main() -> io::Result<()> {
    let args = Args::parse();
    let mut csv = args.csv.map(File::create).transpose()?;
    let mut provenance = machine::provenance();
    provenance.push(("keys", args.keys.to_string()));
    for (name, value) in provenance {
        println!("- {name}: {value}");
        if let Some(csv) = &mut csv {
            writeln!(csv, "# {name}: {value}")?;
        }
    }
    let keys = args.keys.get();
    let (number, string) = (|key: u64| key, |key: u64| format!("{key:016x}"));
    macro_rules! row {
        ($name:ident, $Limiter:ident) => {
            ($name, bytes::<$Limiter<_>, _>(keys, number), bytes::<$Limiter<_>, _>(keys, string))
        };
    }
    let rows = [
        row!(OURS, PerKeyRateLimiter),
        row!(STATS, Counted),
        row!(QUOTA_FOR, Tiered),
        row!(GOVERNOR, DefaultKeyedRateLimiter),
        row!(MUTEX, MutexKeyed),
    ];
    let [_, _, _, theirs, _] = rows;
    println!("\nBytes a key; ratio: to {GOVERNOR}.\n");
    println!("| limiter | u64 | ratio | String of 16 | ratio |");
    println!("| --- | ---: | ---: | ---: | ---: |");
    if let Some(csv) = &mut csv {
        writeln!(csv, "limiter,keys,bytes_u64,bytes_string16")?;
    }
    for (name, number, string) in rows {
        let ratios = (number / theirs.1, string / theirs.2);
        println!("| {name} | {number:.1} | {:.3} | {string:.1} | {:.3} |", ratios.0, ratios.1);
        if let Some(csv) = &mut csv {
            writeln!(csv, "{name},{keys},{number:.3},{string:.3}")?;
        }
    }
    Ok(())
}

/// What a limiter with `keys` keys has allocated, by key.
fn bytes<L: Keyed<K>, K: Key>(keys: u64, key: impl Fn(u64) -> K) -> f64 {
    // Nobody is dropped meanwhile.
    let make = || L::make(Duration::from_secs(3_600));
    // What the first one in a process allocates for all of them is no key's.
    assert!(make().take(&key(0)), "a new key has its burst");
    let before = BYTES.load(Ordering::Relaxed);
    let limiter = make();
    for number in 0..keys {
        assert!(limiter.take(&key(number)), "a new key has its burst");
    }
    assert_eq!(limiter.count() as u64, keys);
    (BYTES.load(Ordering::Relaxed) - before) as f64 / keys as f64
}
