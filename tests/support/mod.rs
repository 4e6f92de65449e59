//! What the tests of the promises share. Each test file uses a part of it.

#![allow(dead_code, unreachable_pub)]

pub mod buckets;
pub mod clocks;
pub mod intervals;
pub mod oracle;
pub mod quotas;
pub mod threads;
pub mod waiting;
pub mod window_oracle;
pub mod windows;
pub mod workers;
