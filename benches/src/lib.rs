//! What the benchmarks share: one harness that times every limiter alike, the limiters, and where it was measured.
//!
//! - [`harness`]: threads, pinned, started together and timed inside
//! - [`subjects`]: who is measured, and on which work
//! - [`mutex`]: the buckets that people write
//! - [`ping_pong`]: how far apart two cores are
//! - [`machine`]: where a result comes from
//! - [`quartiles`]: what is told of many rounds

pub mod harness;
pub mod machine;
pub mod mutex;
pub mod ping_pong;
pub mod quartiles;
pub mod subjects;
