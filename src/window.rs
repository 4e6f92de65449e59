//! The window counters: so many permits a window.

mod builder;
mod core;
mod fixed;
mod sliding;
mod verbs;
#[cfg(feature = "async")]
mod wait;

pub use self::builder::{FixedWindowCounterBuilder, SlidingWindowCounterBuilder};
pub use self::fixed::FixedWindowCounter;
pub use self::sliding::SlidingWindowCounter;
