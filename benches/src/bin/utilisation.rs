//! Utilisation: what share of its rate each bucket grants to threads that ask for more all the time.
//!
//! ```text
//! cargo run --release -p sluicegate-benches --bin utilisation -- --csv utilisation.csv
//! ```
//!
//! Stock that is drawn in batches could be wasted: held by a thread that does not call, or lost. So all threads ask until each
//! of them has been denied, which is when the burst is spent, and go on; measured is what they are granted between two
//! moments after that, by the rate and the time between the moments. 1 is the rate exactly; a little more can be had by what
//! stood in stocks before the first moment. Beside it stands what a decision took meanwhile, most of them denials.

use core::num::NonZeroU32;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::thread;
use std::time::Instant;

use clap::Parser;
use crossbeam_utils::CachePadded;
use sluicegate::{Quota, StripedTokenBucket, TokenBucket};
use sluicegate_benches::harness::pin;
use sluicegate_benches::machine;
use sluicegate_benches::quartiles::Quartiles;
use sluicegate_benches::subjects::bucket::{GOVERNOR, LOCAL, OURS, STRIPED};

/// Saturates every bucket in turn and prints what share of the rate it granted, as Markdown.
#[derive(Debug, Parser)]
#[command(name = "utilisation")]
struct Args {
    /// Permits a second; the burst is as many.
    #[arg(long, value_delimiter = ',', default_value = "1000,10000,1000000")]
    rates: Vec<NonZeroU32>,
    /// Numbers of threads.
    #[arg(long, value_delimiter = ',', default_value = "1,2,8", value_parser = clap::value_parser!(u16).range(1..=512))]
    threads: Vec<u16>,
    /// How often everybody is measured.
    #[arg(long, default_value_t = 11, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rounds: u32,
    /// How long one measurement takes, in milliseconds.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    millis: u32,
    /// Where to put what was measured, row by row.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Only shows that it runs: 1 round of 20 ms each, whatever else is said.
    #[arg(long)]
    quick: bool,
}

/// What a bucket did between the two moments.
#[derive(Clone, Copy, Debug)]
struct Found {
    /// Of the rate.
    utilisation: f64,
    /// Wall time by the decisions of all threads, in nanoseconds.
    nanos: f64,
}

/// What one thread has done so far; nobody else writes it.
#[derive(Debug, Default)]
struct Tally {
    granted: AtomicU64,
    denied: AtomicU64,
}

/// By name: saturates a fresh bucket with so many threads for so long.
type Subject = (&'static str, fn(NonZeroU32, usize, Duration) -> Found);

const SUBJECTS: [Subject; 4] = [
    (OURS, |rate, threads, time| {
        let bucket = TokenBucket::new(quota(rate)).expect("the quota fits");
        saturate(rate, threads, time, || || bucket.try_acquire().is_ok())
    }),
    (STRIPED, |rate, threads, time| {
        let bucket = striped(rate);
        saturate(rate, threads, time, || || bucket.try_acquire().is_ok())
    }),
    (LOCAL, |rate, threads, time| {
        let bucket = striped(rate);
        saturate(rate, threads, time, || {
            let mut local = bucket.local();
            move || local.try_acquire().is_ok()
        })
    }),
    (GOVERNOR, |rate, threads, time| {
        let bucket = governor::DefaultDirectRateLimiter::direct(governor::Quota::per_second(rate));
        saturate(rate, threads, time, || || bucket.check().is_ok())
    }),
];

fn quota(rate: NonZeroU32) -> Quota {
    Quota::per_second(u64::from(rate.get()))
}

fn striped(rate: NonZeroU32) -> StripedTokenBucket {
    StripedTokenBucket::new(quota(rate)).expect("the quota fits")
}

fn main() -> io::Result<()> {
    let args = Args::parse();
    let (rounds, millis) = if args.quick { (1, 20) } else { (args.rounds, args.millis) };
    let mut csv = args.csv.map(File::create).transpose()?;
    let mut provenance = machine::provenance();
    provenance.push(("rounds", format!("{rounds} of {millis} ms for each, after the burst was spent")));
    for (name, value) in provenance {
        println!("- {name}: {value}");
        if let Some(csv) = &mut csv {
            writeln!(csv, "# {name}: {value}")?;
        }
    }
    if let Some(csv) = &mut csv {
        writeln!(csv, "rate,threads,subject,round,utilisation,ns")?;
    }
    println!("\nShare of the rate that was granted, and nanoseconds a decision: median (quartiles) of the rounds.\n");
    println!("| rate | threads | bucket | utilisation | ns |");
    println!("| ---: | ---: | --- | ---: | ---: |");
    for rate in args.rates {
        for &threads in &args.threads {
            let mut columns = [const { Vec::<Found>::new() }; SUBJECTS.len()];
            for round in 0..rounds as usize {
                for position in 0..SUBJECTS.len() {
                    // Rotated, so that nobody always comes after the same one.
                    let index = (position + round) % SUBJECTS.len();
                    let (name, measure) = SUBJECTS[index];
                    let found = measure(rate, usize::from(threads), Duration::from_millis(u64::from(millis)));
                    columns[index].push(found);
                    if let Some(csv) = &mut csv {
                        writeln!(csv, "{rate},{threads},{name},{round},{:.6},{:.3}", found.utilisation, found.nanos)?;
                    }
                }
            }
            for ((name, _), column) in SUBJECTS.iter().zip(&columns) {
                let quartiles = |of: fn(&Found) -> f64| Quartiles::of(column.iter().map(of).collect());
                let (share, nanos) = (quartiles(|found| found.utilisation), quartiles(|found| found.nanos));
                println!("| {rate} | {threads} | {name} | {share:.4} | {nanos:.1} |");
            }
        }
    }
    Ok(())
}

/// Threads ask one after the other, each by what `make` makes on it, until all have been denied, and for `time` more, which
/// is measured.
fn saturate<F: FnMut() -> bool>(
    rate: NonZeroU32,
    threads: usize,
    time: Duration,
    make: impl Fn() -> F + Sync,
) -> Found {
    let tallies: Vec<CachePadded<Tally>> = (0..threads).map(|_| CachePadded::default()).collect();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for (index, tally) in tallies.iter().enumerate() {
            let (over, make) = (&over, &make);
            scope.spawn(move || {
                pin(index);
                let mut try_acquire = make();
                let (mut granted, mut denied) = (0, 0);
                // Ordering: Relaxed, here and below; counters and a flag that publish nothing.
                while !over.load(Ordering::Relaxed) {
                    if try_acquire() {
                        granted += 1;
                        tally.granted.store(granted, Ordering::Relaxed);
                    } else {
                        denied += 1;
                        tally.denied.store(denied, Ordering::Relaxed);
                    }
                }
            });
        }
        let sum =
            |of: fn(&Tally) -> &AtomicU64| tallies.iter().map(|tally| of(tally).load(Ordering::Relaxed)).sum::<u64>();
        let moment = || (Instant::now(), sum(|tally| &tally.granted), sum(|tally| &tally.denied));
        while tallies.iter().any(|tally| tally.denied.load(Ordering::Relaxed) == 0) {
            thread::sleep(Duration::from_millis(1));
        }
        let (start, granted_before, denied_before) = moment();
        thread::sleep(time);
        let (end, granted, denied) = moment();
        over.store(true, Ordering::Relaxed);
        let wall = (end - start).as_secs_f64();
        let (granted, denied) = (granted - granted_before, denied - denied_before);
        Found {
            utilisation: granted as f64 / (f64::from(rate.get()) * wall),
            nanos: wall * 1e9 / (granted + denied) as f64,
        }
    })
}
