#![doc = include_str!("../README.md")]
#![cfg_attr(not(any(feature = "std", test)), no_std)]
#![warn(clippy::alloc_instead_of_core, clippy::std_instead_of_alloc, clippy::std_instead_of_core)]

extern crate alloc;

mod adaptive;
mod algorithm;
mod clock;
mod compose;
mod counters;
mod error;
mod limiter;
mod local;
mod nanos;
mod params;
#[cfg(feature = "per-key")]
mod per_key;
mod quota;
#[cfg(feature = "macros")]
mod rate_limit;
mod reservation;
mod stats;
mod striped;
mod sync;
mod thread_number;
mod token_bucket;
#[cfg(feature = "async")]
mod wait;
#[cfg(not(feature = "async"))]
#[path = "wait/none.rs"]
mod wait;
#[cfg(feature = "std")]
mod wake;
mod window;
mod word;

pub use crate::adaptive::{
    AdaptiveRateLimiter, AdaptiveRateLimiterBuilder, AdaptiveStats, CallError, ChangeReason, Law, Outcome, RateChange,
};
#[cfg(feature = "tokio")]
pub use crate::clock::TokioClock;
pub use crate::clock::{Clock, MonotonicClock};
#[cfg(feature = "std")]
pub use crate::clock::{CoarseClock, ManualClock};
#[cfg(feature = "async")]
pub use crate::compose::AcquireAll;
pub use crate::compose::{AllOf, all_of};
pub use crate::error::{ConfigError, ParseQuotaError, RateLimitExceeded};
pub use crate::limiter::Limiter;
pub use crate::local::{LocalTokenBucket, OwnedLocalTokenBucket};
pub use crate::nanos::{Nanos, TickLength};
#[cfg(all(feature = "per-key", feature = "async"))]
pub use crate::per_key::KeyAcquire;
#[cfg(feature = "per-key")]
pub use crate::per_key::{KeyHandle, KeyRef, PerKeyRateLimiter, PerKeyRateLimiterBuilder, WhenFull};
pub use crate::quota::Quota;
#[cfg(feature = "macros")]
#[doc(hidden)]
pub use crate::rate_limit::expanded as _rate_limit;
#[cfg(feature = "macros")]
pub use crate::rate_limit::rate_limit;
#[cfg(feature = "per-key")]
pub use crate::reservation::OwnedKeyReservation;
#[cfg(feature = "async")]
pub use crate::reservation::Reserve;
pub use crate::reservation::{OwnedReservation, Reservation};
pub use crate::stats::RateLimiterStats;
pub use crate::striped::{StripedTokenBucket, StripedTokenBucketBuilder};
pub use crate::token_bucket::{TokenBucket, TokenBucketBuilder};
#[cfg(feature = "async")]
pub use crate::wait::Acquire;
pub use crate::window::{
    FixedWindowCounter, FixedWindowCounterBuilder, SlidingWindowCounter, SlidingWindowCounterBuilder,
};

/// For the models: numbers the calling thread.
#[cfg(any(loom, shuttle))]
pub use crate::thread_number::modelled::set as set_thread_number;

/// The documents of the repository, compiled with the crate so that their examples run.
#[allow(clippy::doc_markdown)]
pub mod _docs {
    #[doc = include_str!("../docs/GUIDE.md")]
    pub mod guide {}
    #[cfg(feature = "serde")]
    #[doc = include_str!("../docs/SETTINGS.md")]
    pub mod settings {}
    #[doc = include_str!("../docs/DESIGN.md")]
    pub mod design {}
    #[doc = include_str!("../docs/BENCHMARKS.md")]
    pub mod benchmarks {}
    #[doc = include_str!("../docs/COMPARE.md")]
    pub mod compare {}
    #[doc = include_str!("../CHANGELOG.md")]
    pub mod changelog {}
}
