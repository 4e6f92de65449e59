//! Both laws of the adaptive limiter in front of a service that can do only so much, and that falls to a third, comes
//! back, fails altogether and recovers: a table, and a picture.
//!
//! ```text
//! cargo run --release --example adaptive
//! cargo run --release --example adaptive -- --svg docs/adaptive.svg
//! cargo run --release --example adaptive -- --reduction-factor 0.7
//! ```
//!
//! It is the simulation of `tests/adaptive_simulation.rs`, in virtual time: the same numbers everywhere, at once.

mod chart;
#[path = "../../tests/support/service.rs"]
mod service;
mod table;

use core::time::Duration;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use sluicegate::{AdaptiveRateLimiter, ConfigError, Law, ManualClock};

use crate::service::{Interval, World, simulate};

/// Shows how an adaptive limiter follows what a service can do.
#[derive(Debug, Parser)]
#[command(name = "adaptive")]
struct Args {
    /// Where to draw the picture; without it there is only the table.
    #[arg(long, value_name = "PATH")]
    svg: Option<PathBuf>,
    /// By what the error-rate law multiplies the rate when too much fails.
    #[arg(long, value_name = "FACTOR", default_value_t = 0.5, allow_negative_numbers = true)]
    reduction_factor: f64,
}

/// A part of the story, and what the service can do in it.
struct Phase {
    name: &'static str,
    /// Seconds from the start.
    from: f64,
    to: f64,
    /// Requests a second.
    capacity: f64,
}

/// Requests a second that the service can do when it is well.
const CAPACITY: f64 = 200.0;
/// Calls a second: always more than the service can do.
const DEMAND: f64 = 3.0 * CAPACITY;

const STORY: [Phase; 7] = [
    Phase { name: "start at a tenth", from: 0.0, to: 30.0, capacity: CAPACITY },
    Phase { name: "all well", from: 30.0, to: 70.0, capacity: CAPACITY },
    Phase { name: "a third is left", from: 70.0, to: 110.0, capacity: CAPACITY / 3.0 },
    Phase { name: "back again", from: 110.0, to: 150.0, capacity: CAPACITY },
    Phase { name: "outage", from: 150.0, to: 160.0, capacity: 0.0 },
    Phase { name: "recovery", from: 160.0, to: 190.0, capacity: CAPACITY },
    Phase { name: "all well again", from: 190.0, to: 220.0, capacity: CAPACITY },
];

/// What a law made of it.
struct Run {
    name: &'static str,
    intervals: Vec<Interval>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let runs = match tell(&args) {
        Ok(runs) => runs,
        Err(error) => {
            eprintln!("error: --reduction-factor {}: {error}", args.reduction_factor);
            return ExitCode::from(2);
        }
    };
    table::print(&runs);
    if let Some(path) = args.svg {
        if let Err(error) = chart::draw(&path, &runs, args.reduction_factor) {
            eprintln!("error: --svg {}: {error}", path.display());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn tell(args: &Args) -> Result<[Run; 2], ConfigError> {
    let world = World {
        demand: DEMAND,
        capacity: STORY.iter().map(|phase| (phase.from, phase.capacity)).collect(),
        buffer: 4.0,
        latency: Duration::from_millis(50),
    };
    let seconds = STORY[STORY.len() - 1].to as u64;
    let run = |name, law| {
        let clock = ManualClock::new();
        let limiter = AdaptiveRateLimiter::builder()
            .base_rate(CAPACITY / 10.0)
            .min_rate(CAPACITY / 10.0)
            .max_rate(2.0 * CAPACITY)
            .reduction_factor(args.reduction_factor)
            .window(Duration::from_secs(1))
            .law(law)
            .clock(clock.clone())
            .build()?;
        Ok(Run { name, intervals: simulate(&limiter, &clock, &world, seconds) })
    };
    Ok([run("ErrorRate", Law::ErrorRate)?, run("Cubic", Law::Cubic)?])
}
