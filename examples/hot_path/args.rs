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
    /// Threads that share the limiter [default: the cores there are, at least 2].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_024), allow_negative_numbers = true)]
    threads: Option<u16>,
    /// How long it takes altogether; fractions will do.
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds, allow_negative_numbers = true)]
    seconds: Duration,
    /// Permits a second.
    #[arg(long, value_name = "N", default_value_t = 100_000, allow_negative_numbers = true)]
    rate: u64,
    /// The most permits at once; window counters allow as many in the time that brings them, and the adaptive limiter
    /// has a burst of its own: what comes in two seconds.
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
    /// What is to be kept, or which flag is wrong and why.
    pub(crate) fn quota(&self) -> Result<Quota, String> {
        let quota = Quota::per_second(self.rate).burst(self.burst);
        // The library knows best what it can keep.
        match TokenBucket::new(quota) {
            Ok(_) => Ok(quota),
            Err(error) => {
                let (flag, value) = match error.field() {
                    "burst" => ("--burst", self.burst),
                    _ => ("--rate", self.rate),
                };
                Err(format!("{flag} {value}: {error}"))
            }
        }
    }

    /// The plan for so many limiters.
    pub(crate) fn plan(&self, quota: Quota, limiters: usize) -> Plan {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let each = self.seconds / limiters as u32;
        // Three quarters of the time for the speed, since the other phase only has to see enough grants.
        let speed = each * 3 / 4;
        Plan { threads: self.threads.map_or(cores.max(2), usize::from), quota, speed, audit: each - speed }
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
