//! What may panic or never return.

use core::time::Duration;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;

/// What became of it instead of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Panicked,
    /// Within the time it had. Its thread stays until the process ends.
    Hung,
}

/// Runs `op` on a thread of its own, for so long at most.
pub(crate) fn guarded<T: Send + 'static>(
    time: Duration,
    op: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    let (sender, receiver) = mpsc::sync_channel(1);
    thread::spawn(move || {
        // Nobody listens any more if it took too long.
        let _late = sender.send(op());
    });
    receiver.recv_timeout(time).map_err(|error| match error {
        RecvTimeoutError::Timeout => Failure::Hung,
        // The thread is gone without having sent anything.
        RecvTimeoutError::Disconnected => Failure::Panicked,
    })
}

#[cfg(test)]
mod tests {
    use core::time::Duration;
    use std::thread;

    use super::{Failure, guarded};

    #[test]
    fn tells_results_panics_and_hangs_apart() {
        assert_eq!(guarded(Duration::from_secs(60), || 7), Ok(7));
        assert_eq!(guarded(Duration::from_secs(60), || panic!("on purpose")), Err::<(), _>(Failure::Panicked));
        assert_eq!(guarded(Duration::from_millis(5), || thread::sleep(Duration::from_secs(1))), Err(Failure::Hung));
    }
}
