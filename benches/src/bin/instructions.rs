//! Instructions a decision, counted by callgrind: the same on a noisy machine, and so a guard against what a clock would not show.
//!
//! ```text
//! cargo run --release -p sluicegate-benches --bin instructions -- --check docs/benchmarks/instructions.csv
//! cargo run --release -p sluicegate-benches --bin instructions -- --csv docs/benchmarks/instructions.csv
//! ```
//!
//! The clock stands still and costs a load, so that what is counted is the decision: the arithmetic, the exchange, the look-up. What the
//! loop costs, and hiding the limiter's address from it, is taken off. Counts depend on the compiler: a file that another one's counts
//! stand in is not compared with.

use core::hint::black_box;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use clap::Parser;
use governor::clock::FakeRelativeClock;
use sluicegate::{
    AdaptiveRateLimiter, Clock, FixedWindowCounter, Nanos, PerKeyRateLimiter, Quota, SlidingWindowCounter,
    StripedTokenBucket, TokenBucket, all_of,
};

/// Counted are so many calls of each.
const CALLS: u64 = 100_000;

/// More than before by this share, and by more than one, is a regression.
const TOLERANCE: f64 = 0.05;

/// Counts the instructions of a decision and prints them as Markdown.
#[derive(Debug, Parser)]
#[command(name = "instructions")]
struct Args {
    /// Fails if any count is above the one in this file.
    #[arg(long, value_name = "FILE", conflicts_with = "csv")]
    check: Option<PathBuf>,
    /// Where to put the counts.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Only shows that it runs: the loop and one limiter.
    #[arg(long)]
    quick: bool,
    /// Runs this one, to be counted.
    #[arg(long, hide = true)]
    case: Option<String>,
}

/// A clock of which a reading is one load.
struct Frozen(u64);

impl Clock for Frozen {
    #[inline(always)]
    fn now(&self) -> Nanos {
        Nanos::from_nanos(black_box(self.0))
    }
}

const NOW: Frozen = Frozen(1_000_000_000);
const DAY: Duration = Duration::from_secs(86_400);
const MANY: u64 = 1 << 31;

/// What callgrind counts: only while this runs.
#[inline(never)]
fn measured<L: ?Sized>(limiter: &mut L, mut op: impl FnMut(&mut L) -> bool) -> u64 {
    let mut outcomes = 0;
    for _ in 0..CALLS {
        outcomes += u64::from(black_box(op(black_box(limiter))));
    }
    outcomes
}

/// Calls it, and tells whether all calls had this outcome.
fn run<L>(mut limiter: L, outcome: bool, op: impl FnMut(&mut L) -> bool) -> bool {
    measured(&mut limiter, op) == u64::from(outcome) * CALLS
}

/// Granted for ever, or denied.
fn quota(granted: bool) -> Quota {
    Quota::per(MANY, DAY).burst(if granted { MANY } else { 100_000 })
}

fn drained<L: sluicegate::Limiter>(limiter: L, granted: bool) -> L {
    let spent = if granted { 0 } else { limiter.available() };
    // One by one what cannot be had at once.
    assert!((0..spent).all(|_| limiter.try_acquire().is_ok()));
    limiter
}

/// Its name, and what runs it and tells whether it went as it should.
type Case = (&'static str, fn() -> bool);

fn cases() -> Vec<Case> {
    fn shared<L: sluicegate::Limiter>(limiter: L, granted: bool) -> bool {
        run(drained(limiter, granted), granted, |limiter| limiter.try_acquire().is_ok())
    }
    fn bucket(granted: bool) -> TokenBucket<Frozen> {
        TokenBucket::with_clock(quota(granted), NOW).expect("it fits")
    }
    fn striped(granted: bool) -> StripedTokenBucket<Frozen> {
        StripedTokenBucket::with_clock(quota(granted), NOW).expect("it fits")
    }
    fn local(granted: bool) -> bool {
        let bucket = drained(striped(granted), granted);
        run(bucket.local(), granted, |local| local.try_acquire().is_ok())
    }
    fn limit(granted: bool) -> u64 {
        if granted { MANY } else { 4 }
    }
    fn adaptive(granted: bool) -> AdaptiveRateLimiter<Frozen> {
        let rate = if granted { 1e9 } else { 1.0 };
        AdaptiveRateLimiter::builder().base_rate(rate).clock(NOW).build().expect("it fits")
    }
    fn keyed(granted: bool) -> PerKeyRateLimiter<u64, &'static Frozen> {
        PerKeyRateLimiter::builder(quota(granted)).clock(&NOW).build().expect("it fits")
    }
    fn key(granted: bool) -> bool {
        let limiter = keyed(granted);
        let spent = if granted { 0 } else { limiter.available(&7) };
        assert!(spent == 0 || limiter.try_acquire_n(&7, spent).is_ok());
        run(limiter, granted, |limiter| limiter.try_acquire(&7).is_ok())
    }
    fn handle(granted: bool) -> bool {
        shared(keyed(granted).handle(7), granted)
    }
    fn two(granted: bool) -> bool {
        let calls = |both: &mut (TokenBucket<Frozen>, TokenBucket<Frozen>)| {
            both.0.try_acquire().is_ok() && both.1.try_acquire().is_ok()
        };
        run((bucket(granted), bucket(granted)), granted, calls)
    }
    fn governor(granted: bool) -> bool {
        let period = DAY / u32::try_from(MANY / (1 << 10)).unwrap_or(1);
        let burst = if granted { u32::MAX } else { 1 };
        let quota = governor::Quota::with_period(period).expect("above zero");
        let quota = quota.allow_burst(burst.try_into().expect("above zero"));
        let limiter = governor::RateLimiter::direct_with_clock(quota, FakeRelativeClock::default());
        let _ = limiter.check();
        run(limiter, granted, |limiter| limiter.check().is_ok())
    }
    vec![
        ("nothing", || run((), true, |()| true)),
        ("bucket, allow", || shared(bucket(true), true)),
        ("bucket, deny", || shared(bucket(false), false)),
        ("striped, allow", || shared(striped(true), true)),
        ("striped, deny", || shared(striped(false), false)),
        ("local, allow", || local(true)),
        ("local, deny", || local(false)),
        ("fixed window, allow", || {
            shared(FixedWindowCounter::with_clock(limit(true), DAY, NOW).expect("it fits"), true)
        }),
        ("fixed window, deny", || {
            shared(FixedWindowCounter::with_clock(limit(false), DAY, NOW).expect("it fits"), false)
        }),
        ("sliding window, allow", || {
            shared(SlidingWindowCounter::with_clock(limit(true), DAY, NOW).expect("it fits"), true)
        }),
        ("sliding window, deny", || {
            shared(SlidingWindowCounter::with_clock(limit(false), DAY, NOW).expect("it fits"), false)
        }),
        ("adaptive, allow", || shared(adaptive(true), true)),
        ("adaptive, deny", || shared(adaptive(false), false)),
        ("by key, allow", || key(true)),
        ("by key, deny", || key(false)),
        ("handle, allow", || handle(true)),
        ("handle, deny", || handle(false)),
        ("two buckets, allow", || two(true)),
        ("all_of two buckets, allow", || shared(all_of((bucket(true), bucket(true))), true)),
        ("governor, allow", || governor(true)),
        ("governor, deny", || governor(false)),
    ]
}

/// Instructions of [`measured`] in a run of this case under callgrind, if that is there.
fn count(case: &str) -> io::Result<Option<u64>> {
    let counted = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no"])
        .arg("--toggle-collect=*measured*")
        .arg(std::env::current_exe()?)
        .args(["--case", case])
        .output();
    let output = match counted {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        output => output?,
    };
    let text = String::from_utf8_lossy(&output.stderr);
    let collected = text.lines().find_map(|line| line.split_once("Collected : ")).map(|(_, number)| number.trim());
    match collected.and_then(|number| number.parse().ok()) {
        Some(number) if output.status.success() => Ok(Some(number)),
        _ => Err(io::Error::other(format!("{case}: {text}"))),
    }
}

/// What stands in a file, if it is of this compiler.
fn baseline(file: &Path) -> io::Result<Option<Vec<(String, f64)>>> {
    let text = fs::read_to_string(file)?;
    let mut lines = text.lines();
    if lines.next() != Some(&heading()) {
        return Ok(None);
    }
    let row = |line: &str| line.rsplit_once(';').and_then(|(case, count)| Some((case.to_owned(), count.parse().ok()?)));
    Ok(Some(lines.filter_map(row).collect()))
}

fn heading() -> String {
    format!("case;instructions;{}", env!("BUILT_BY"))
}

fn judge(args: &Args) -> io::Result<ExitCode> {
    let before = match &args.check {
        Some(file) => baseline(file)?,
        None => None,
    };
    if args.check.is_some() && before.is_none() {
        println!("The counts to compare with are another compiler's.");
    }
    let (mut rows, mut nothing, mut is_worse) = (heading() + "\n", None, false);
    let before_too = if before.is_some() { (" before |", " ---: |") } else { ("", "") };
    println!("| instructions | a call |{}\n| --- | ---: |{}", before_too.0, before_too.1);
    for (case, _) in cases().into_iter().take(if args.quick { 2 } else { usize::MAX }) {
        let Some(count) = count(case)? else {
            println!("\nvalgrind is not there: nothing was counted.");
            return Ok(ExitCode::SUCCESS);
        };
        let of_a_call = count as f64 / CALLS as f64;
        let count = of_a_call - *nothing.get_or_insert(of_a_call);
        let known = before.iter().flatten().find(|(known, _)| known == case).map(|&(_, count)| count);
        let is_more = known.is_some_and(|known| count > known + (known * TOLERANCE).max(1.0));
        is_worse |= is_more;
        let known =
            known.map_or_else(String::new, |known| format!(" {known:.1}{} |", if is_more { ": **more**" } else { "" }));
        println!("| {case} | {count:.1} |{known}");
        rows += &format!("{case};{count:.1}\n");
    }
    if let Some(file) = &args.csv {
        fs::write(file, rows)?;
    }
    Ok(if is_worse { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(case) = &args.case {
        let found = cases().into_iter().find(|(name, _)| name == case);
        let is_as_expected = found.is_some_and(|(_, run)| run());
        return if is_as_expected { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    judge(&args).unwrap_or_else(|error| {
        eprintln!("{error}");
        ExitCode::FAILURE
    })
}
