#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

mod algorithm;
mod clock;
mod error;
mod nanos;
mod params;
mod quota;
mod stats;
mod sync;
mod token_bucket;
mod word;

pub use crate::clock::{Clock, MonotonicClock};
#[cfg(feature = "std")]
pub use crate::clock::{CoarseClock, ManualClock};
pub use crate::error::{ConfigError, RateLimitExceeded};
pub use crate::nanos::{Nanos, TickLength};
pub use crate::quota::Quota;
pub use crate::stats::RateLimiterStats;
pub use crate::token_bucket::{TokenBucket, TokenBucketBuilder};
