//! The limiters in a program without std.
//!
//! The panic handler is the proof: std has one, and there cannot be two. So this does not compile if sluicegate, or anything
//! that it depends on, brings std along.

#![no_std]

mod limits;

pub use limits::all;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
