//! The command line, checked: what comes out of here can be run.

use core::num::NonZero;
use core::time::Duration;
use std::thread;

use clap::Parser;
use sluicegate::{Quota, TokenBucket};

/// Hammers one rate limiter from many threads: how fast is it, and does it keep its limit?
#[derive(Debug, Parser)]
#[command(name = "hot_path")]
pub(crate) struct Args {
    /// Threads that share the bucket [default: the cores there are, at least 2].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_024), allow_negative_numbers = true)]
    threads: Option<u16>,
    /// How long it takes altogether; fractions will do.
    #[arg(long, value_name = "SECONDS", default_value = "4", value_parser = seconds, allow_negative_numbers = true)]
    seconds: Duration,
    /// Permits a second.
    #[arg(long, value_name = "N", default_value_t = 100_000, allow_negative_numbers = true)]
    rate: u64,
    /// The most permits at once.
    #[arg(long, value_name = "N", default_value_t = 1_000, allow_negative_numbers = true)]
    burst: u64,
}

/// What is run.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) threads: usize,
    pub(crate) quota: Quota,
    /// How long each limiter is hammered.
    pub(crate) speed: Duration,
    /// How long the grants of each limiter are recorded.
    pub(crate) audit: Duration,
}

impl Args {
    /// The plan, or which flag is wrong and why.
    pub(crate) fn plan(&self) -> Result<Plan, String> {
        let quota = Quota::per_second(self.rate).burst(self.burst);
        // The library knows best what it can keep.
        if let Err(error) = TokenBucket::new(quota) {
            let (flag, value) = match error.field() {
                "burst" => ("--burst", self.burst),
                _ => ("--rate", self.rate),
            };
            return Err(format!("{flag} {value}: {error}"));
        }
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        // Two limiters; three quarters of the time for the speed, since the other phase only has to see enough grants.
        let speed = self.seconds * 3 / 8;
        Ok(Plan {
            threads: self.threads.map_or(cores.max(2), usize::from),
            quota,
            speed,
            audit: self.seconds / 2 - speed,
        })
    }
}

impl Plan {
    pub(crate) fn both_phases(&self) -> Duration {
        self.speed + self.audit
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    if (0.05..=3_600.0).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err("must be from 0.05 to 3600".to_owned())
    }
}
