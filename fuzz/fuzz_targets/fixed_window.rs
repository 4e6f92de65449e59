//! The fixed window against its model: every limit, window and time.
//!
//! Kills: a late thread that goes back to the window of its reading.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluicegate_fuzz::windows::Law;
use sluicegate_fuzz::{WindowCase, follow_window};

fuzz_target!(|case: WindowCase| follow_window(Law::Fixed, case));
