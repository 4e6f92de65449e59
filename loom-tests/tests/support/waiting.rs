//! Waiting in a model: a clock that wakes, and a thread that sleeps until it is woken.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Wake, Waker};

use loom::sync::atomic::{AtomicU64, Ordering};
use loom::sync::{Arc, Mutex, Notify};
use sluicegate_loom::{Clock, Nanos};

/// A clock that wakes who waits when it is moved with `advance`, and nobody when it is moved with `advance_in_silence`.
#[derive(Clone)]
pub struct HandClock(Arc<(AtomicU64, Mutex<Vec<Waker>>)>);

impl HandClock {
    pub fn new() -> Self {
        Self(Arc::new((AtomicU64::new(0), Mutex::new(Vec::new()))))
    }

    pub fn advance(&self, nanos: u64) {
        self.advance_in_silence(nanos);
        let wakers = std::mem::take(&mut *self.0.1.lock().unwrap());
        wakers.into_iter().for_each(Waker::wake);
    }

    pub fn advance_in_silence(&self, nanos: u64) {
        self.0.0.fetch_add(nanos, Ordering::AcqRel);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Nanos {
        Nanos::from_nanos(self.0.0.load(Ordering::Acquire))
    }

    fn wake_on_change(&self, waker: &Waker) -> bool {
        self.0.1.lock().unwrap().push(waker.clone());
        true
    }
}

/// A thread that sleeps until it is woken.
struct Sleeper(Notify);

impl Wake for Sleeper {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.notify();
    }
}

pub fn block_on<F: Future>(future: F) -> F::Output {
    let sleeper = std::sync::Arc::new(Sleeper(Notify::new()));
    let waker = Waker::from(sleeper.clone());
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => sleeper.0.wait(),
        }
    }
}
