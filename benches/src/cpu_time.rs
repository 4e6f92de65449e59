//! How much time of the processors this process has used.

use core::time::Duration;

/// By all its threads, those that have ended included. `None` where the system does not tell.
#[cfg(unix)]
#[must_use]
pub fn used() -> Option<Duration> {
    use rustix::time::{ClockId, clock_gettime};

    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).ok()
}

/// By all its threads, those that have ended included. `None` where the system does not tell.
#[cfg(not(unix))]
#[must_use]
pub fn used() -> Option<Duration> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use core::time::Duration;
    use std::thread;

    use super::used;

    /// Kills: the time of one thread alone.
    #[test]
    fn other_threads_count() {
        let spent = Duration::from_millis(20);
        let before = used().expect("every Unix tells");
        let spin = move || while used().is_some_and(|now| now < before + spent) {};
        thread::spawn(spin).join().expect("it does not panic");
        assert!(used().is_some_and(|now| now >= before + spent));
    }
}
