//! Threads hammer one bucket, and the mutex that people write: how fast is each, and does it keep its limit?
//!
//! ```text
//! cargo run --release --example hot_path
//! cargo run --release --example hot_path -- --threads 8 --rate 1000000 --burst 50
//! ```
//!
//! Each limiter goes through two phases with a fresh bucket each. In the first one nothing is recorded: that is the
//! speed. In the second one every granted call is recorded with the time before and after it, and then **every**
//! interval between any two of them is checked against `burst + rate * T`: that is the promise.

mod args;
mod audit;
mod hammer;
#[path = "../../tests/support/intervals.rs"]
mod intervals;
mod subjects;
mod table;

use core::num::NonZero;
use std::io;
use std::process::ExitCode;
use std::thread;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};

use crate::args::{Args, Plan};
use crate::audit::Audit;
use crate::hammer::Hammered;
use crate::subjects::{StdMutex, Subject};

/// What both phases found about one limiter.
struct Row {
    name: &'static str,
    /// Whether a limit that was not kept is a failure of this library.
    ours: bool,
    speed: Hammered,
    audit: Audit,
}

fn main() -> ExitCode {
    let plan = match Args::parse().plan() {
        Ok(plan) => plan,
        Err(message) => {
            eprintln!("error: {message}");
            return ExitCode::from(2);
        }
    };
    match measure(&plan) {
        Ok(rows) => report(&plan, &rows),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Everybody who is in the table, the baseline first. A limiter joins with a line here.
fn measure(plan: &Plan) -> io::Result<Vec<Row>> {
    let rows: [fn(&Plan, &ProgressBar) -> io::Result<Row>; 2] = [row::<StdMutex>, row::<sluicegate::TokenBucket>];
    let bar = progress_bar(plan.both_phases().as_millis() as u64 * rows.len() as u64);
    let rows = rows.iter().map(|row| row(plan, &bar)).collect();
    bar.finish_and_clear();
    rows
}

fn row<S: Subject>(plan: &Plan, bar: &ProgressBar) -> io::Result<Row> {
    let full = || S::new(plan.quota).map_err(io::Error::other);
    bar.set_message(format!("{}: as fast as it goes", S::NAME));
    let speed = hammer::hammer(&full()?, plan, bar)?;
    bar.set_message(format!("{}: every grant recorded", S::NAME));
    let audit = audit::audit(&full()?, plan, bar)?;
    Ok(Row { name: S::NAME, ours: S::OURS, speed, audit })
}

/// Hidden where there is no terminal.
fn progress_bar(millis: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(millis).with_style(style)
}

fn report(plan: &Plan, rows: &[Row]) -> ExitCode {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let (threads, cores) = (table::counted(plan.threads as u64, "thread"), table::counted(cores as u64, "core"));
    println!("{threads} on one bucket, {cores}, {}", table::quota(plan.quota));
    table::print(plan, rows);
    let broken: Vec<&str> = rows.iter().filter(|row| row.ours && !row.kept(plan)).map(|row| row.name).collect();
    if broken.is_empty() {
        return ExitCode::SUCCESS;
    }
    eprintln!("\nerror: the limit was exceeded by {}", broken.join(", "));
    ExitCode::FAILURE
}

impl Row {
    /// Whether the limit held, in both phases.
    fn kept(&self, plan: &Plan) -> bool {
        let burst = plan.quota.capacity() as f64;
        self.speed.granted as f64 <= self.speed.bound(plan.quota) && self.audit.worst_excess <= burst
    }
}
