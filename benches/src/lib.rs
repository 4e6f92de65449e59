//! What the benchmarks share: one harness that times every limiter alike, the limiters, and where it was measured.
//!
//! - [`harness`]: threads, pinned, started together and timed inside
//! - [`subjects`]: who is measured, and on which work
//! - [`mutex`], [`mutex_window`]: the buckets and the window counters that people write
//! - [`mutex_adaptive`], [`mutex_keyed`], [`mutex_sharded`]: the adaptive and the per-key limiters that people write
//! - [`key_sequence`]: which key each call names
//! - [`histogram`]: how long single calls took
//! - [`shifted`]: a clock that set-up moves
//! - [`counting`]: how many bytes something keeps
//! - [`cpu_time`]: how long the processors worked
//! - [`criterion_suites`]: the same under criterion
//! - [`ping_pong`]: how far apart two cores are
//! - [`machine`]: where a result comes from
//! - [`quartiles`]: what is told of many rounds

pub mod counting;
pub mod cpu_time;
pub mod criterion_suites;
pub mod harness;
pub mod histogram;
pub mod key_sequence;
pub mod machine;
pub mod mutex;
pub mod mutex_adaptive;
pub mod mutex_keyed;
pub mod mutex_sharded;
pub mod mutex_window;
pub mod ping_pong;
pub mod quartiles;
pub mod shifted;
pub mod subjects;
