//! Threads hammer one limiter, each of this library's and the mutex that people write: how fast is it, and does it keep
//! its limit?
//!
//! ```text
//! cargo run --release --example hot_path
//! cargo run --release --example hot_path -- --threads 8 --rate 1000000 --burst 50
//! ```
//!
//! Each limiter goes through two phases, with a fresh one each. In the first nothing is recorded: that is the speed. In
//! the second every granted call is recorded with the time before and after it, and then **every** interval is checked
//! against what that limiter promises: a bucket `burst + rate * T` in all intervals, a window counter so many in each
//! aligned window, or in any interval of a window's length. Those get a limit of `burst` in windows of `burst / rate`.
//! The adaptive limiter is held at `rate`, with the burst that it has there, twice as much; each grant is reported to it
//! as a success. Of the per-key limiter all threads name the same key, or hold a handle of it. `LocalTokenBucket`s are of one
//! striped bucket, one a thread.

mod args;
mod audit;
mod hammer;
#[path = "../../tests/support/intervals.rs"]
mod intervals;
mod promise;
mod subjects;
mod table;
mod windows;

use core::num::NonZero;
use std::io;
use std::process::ExitCode;
use std::thread;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use sluicegate::{
    AdaptiveRateLimiter, ConfigError, FixedWindowCounter, KeyHandle, PerKeyRateLimiter, Quota, SlidingWindowCounter,
    StripedTokenBucket, TokenBucket,
};

use crate::args::{Args, Plan};
use crate::audit::Audit;
use crate::hammer::Hammered;
use crate::promise::Promise;
use crate::subjects::{Locals, StdMutex, Strict, Subject};

/// What both phases found about one limiter.
struct Row {
    name: &'static str,
    /// Whether a limit that was not kept is a failure of this library.
    ours: bool,
    promise: Promise,
    speed: Hammered,
    audit: Audit,
}

/// A limiter that wants to be in the table.
struct Entrant {
    name: &'static str,
    /// Whether it can keep that quota.
    check: fn(Quota) -> Result<(), ConfigError>,
    row: fn(&Plan, &ProgressBar) -> io::Result<Row>,
}

impl Entrant {
    const fn new<S: Subject>() -> Self {
        Self { name: S::NAME, check: |quota| S::new(quota).map(drop), row: row::<S> }
    }
}

/// Everybody, the baseline first. A limiter joins with a line here.
const ENTRANTS: [Entrant; 10] = [
    Entrant::new::<StdMutex>(),
    Entrant::new::<TokenBucket>(),
    Entrant::new::<StripedTokenBucket>(),
    Entrant::new::<Locals>(),
    Entrant::new::<FixedWindowCounter>(),
    Entrant::new::<SlidingWindowCounter>(),
    Entrant::new::<Strict>(),
    Entrant::new::<AdaptiveRateLimiter>(),
    Entrant::new::<PerKeyRateLimiter<u64>>(),
    Entrant::new::<KeyHandle<u64>>(),
];

fn main() -> ExitCode {
    let args = Args::parse();
    let quota = match args.quota() {
        Ok(quota) => quota,
        Err(message) => {
            eprintln!("error: {message}");
            return ExitCode::from(2);
        }
    };
    let (mut there, mut left_out) = (Vec::new(), Vec::new());
    for entrant in ENTRANTS {
        match (entrant.check)(quota) {
            Ok(()) => there.push(entrant),
            Err(error) => left_out.push((entrant.name, error)),
        }
    }
    let plan = args.plan(quota, there.len());
    match measure(&plan, &there) {
        Ok(rows) => report(&plan, &rows, &left_out),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(plan: &Plan, entrants: &[Entrant]) -> io::Result<Vec<Row>> {
    let bar = progress_bar(plan.both_phases().as_millis() as u64 * entrants.len() as u64);
    let rows = entrants.iter().map(|entrant| (entrant.row)(plan, &bar)).collect();
    bar.finish_and_clear();
    rows
}

fn row<S: Subject>(plan: &Plan, bar: &ProgressBar) -> io::Result<Row> {
    let fresh = || S::new(plan.quota).map_err(io::Error::other);
    bar.set_message(format!("{}: as fast as it goes", S::NAME));
    let speed = hammer::hammer(&fresh()?, plan, bar)?;
    bar.set_message(format!("{}: every grant recorded", S::NAME));
    let audit = audit::audit(&fresh()?, plan, bar)?;
    Ok(Row { name: S::NAME, ours: S::OURS, promise: S::promise(plan.quota), speed, audit })
}

/// Hidden where there is no terminal.
fn progress_bar(millis: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(millis).with_style(style)
}

fn report(plan: &Plan, rows: &[Row], left_out: &[(&str, ConfigError)]) -> ExitCode {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let (threads, cores) = (table::counted(plan.threads as u64, "thread"), table::counted(cores as u64, "core"));
    println!("{threads} on one limiter, {cores}, {}", table::quota(plan.quota));
    table::print(plan, rows, left_out);
    let broken: Vec<&str> = rows.iter().filter(|row| row.ours && !row.kept()).map(|row| row.name).collect();
    if broken.is_empty() {
        return ExitCode::SUCCESS;
    }
    eprintln!("\nerror: the limit was exceeded by {}", broken.join(", "));
    ExitCode::FAILURE
}

impl Row {
    /// The most that the first phase may have granted.
    fn at_most(&self) -> f64 {
        self.promise.most_between(self.speed.start, self.speed.end)
    }

    /// Whether the limit held, in both phases.
    fn kept(&self) -> bool {
        self.speed.granted as f64 <= self.at_most() && self.audit.worst <= self.promise.allowed()
    }
}
