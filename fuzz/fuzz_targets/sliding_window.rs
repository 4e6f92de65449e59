//! The sliding window under both of its laws against the model: every limit, window and time.
//!
//! Kills: a last grant that is forgotten; a window that ends a sixteenth early.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use sluicegate_fuzz::windows::Law;
use sluicegate_fuzz::{WindowCase, follow_window};

#[derive(Debug, Arbitrary)]
enum Input {
    Interpolated(WindowCase),
    Strict(WindowCase),
}

fuzz_target!(|input: Input| match input {
    Input::Interpolated(case) => follow_window(Law::Interpolated, case),
    Input::Strict(case) => follow_window(Law::Strict, case),
});
