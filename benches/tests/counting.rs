//! The allocator that counts, alone in a process: nobody else allocates meanwhile.

use std::hint::black_box;
use std::thread;

use sluicegate_benches::counting::{Counting, counted};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Kills: freed bytes that still count, bytes of other threads that do not, a count that goes on or is not begun anew.
#[test]
fn counts_what_is_kept_by_all_threads_and_only_meanwhile() {
    let before = black_box(vec![0_u8; 1 << 20]);
    let (kept, bytes) = counted(|| {
        drop(black_box(vec![0_u8; 1 << 22]));
        let other = thread::spawn(|| black_box(vec![0_u8; 3 << 20])).join().expect("it does not panic");
        [black_box(vec![0_u8; 1 << 20]), other]
    });
    // The thread itself keeps a little.
    assert!((4 << 20..(4 << 20) + 10_000).contains(&bytes), "{bytes}");
    drop(kept);
    assert_eq!(counted(|| drop(before)).1, -(1 << 20));
    assert_eq!(counted(|| ()).1, 0);
}
