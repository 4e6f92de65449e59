//! What a waiting task sleeps on: one timer for all runtimes, or the runtime's own.

use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;

use futures_timer::Delay;

/// A timer of a clock's. It can be waited for by any runtime.
#[derive(Debug)]
pub struct Timer(Kind);

#[derive(Debug)]
enum Kind {
    /// On a thread that all timers of the process share.
    Shared(Delay),
    #[cfg(feature = "tokio")]
    Tokio(Pin<alloc::boxed::Box<tokio::time::Sleep>>),
}

impl Timer {
    pub(crate) fn shared(time: Duration) -> Self {
        Self(Kind::Shared(Delay::new(time)))
    }

    /// Of the runtime that is entered; the shared one where there is none.
    #[cfg(feature = "tokio")]
    pub(crate) fn tokio(time: Duration) -> Self {
        match tokio::runtime::Handle::try_current() {
            Ok(_) => Self(Kind::Tokio(alloc::boxed::Box::pin(tokio::time::sleep(time)))),
            Err(_) => Self::shared(time),
        }
    }

    pub(crate) fn reset(&mut self, time: Duration) {
        match &mut self.0 {
            Kind::Shared(delay) => delay.reset(time),
            #[cfg(feature = "tokio")]
            Kind::Tokio(sleep) => {
                let at = tokio::time::Instant::now().checked_add(time);
                // Nobody sleeps for longer than a minute.
                sleep.as_mut().reset(at.unwrap_or_else(tokio::time::Instant::now));
            }
        }
    }

    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            Kind::Shared(delay) => core::future::Future::poll(Pin::new(delay), context),
            #[cfg(feature = "tokio")]
            Kind::Tokio(sleep) => core::future::Future::poll(sleep.as_mut(), context),
        }
    }
}
