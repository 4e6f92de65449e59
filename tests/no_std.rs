//! Without std: what is there runs on the user's clock. `tests/no_std` compiles the same where there is no std at all.

#[path = "no_std/limits.rs"]
#[allow(unreachable_pub)]
mod limits;

#[test]
fn limiters_run_on_a_clock_of_the_users() {
    limits::all();
}
