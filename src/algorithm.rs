//! Pure arithmetic: no atomics, no clock, no allocation. What the limiters decide, they decide here.

pub(crate) mod law;
pub(crate) mod token_bucket;
pub(crate) mod window;
