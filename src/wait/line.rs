//! The queue: who waits, for how much, and whom to wake.

use alloc::vec::Vec;
use core::task::Waker;

use slab::Slab;

use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering, const_fn};
use crate::wake::{wake_all, wake_quietly};

/// No waiter.
const NONE: usize = usize::MAX;

/// Above so many slots an empty queue gives its memory back.
const LARGE: usize = 64;

/// The line of a limiter: a doubly linked list in one slab, behind one small lock.
#[derive(Debug)]
pub struct Line {
    queue: Mutex<Queue>,
    /// The queue's demand, for who does not take the lock: for estimates.
    demand: AtomicU64,
    max_waiters: usize,
}

#[derive(Debug)]
pub(crate) struct Queue {
    waiters: Slab<Waiter>,
    head: usize,
    tail: usize,
    /// The permits that all together want: sums of what a `u64` holds.
    demand: u128,
}

#[derive(Debug)]
struct Waiter {
    n: u64,
    /// Taken by who wakes it; stored again when it looks.
    waker: Option<Waker>,
    previous: usize,
    next: usize,
}

impl Line {
    const_fn! {
        pub(crate) const fn new() -> Self {
            let queue = Queue { waiters: Slab::new(), head: NONE, tail: NONE, demand: 0 };
            Self { queue: Mutex::new(queue), demand: AtomicU64::new(0), max_waiters: usize::MAX }
        }
    }

    /// Refuses whoever comes when so many wait. Before the limiter is shared.
    pub(crate) fn set_max_waiters(&mut self, max_waiters: usize) {
        self.max_waiters = max_waiters;
    }

    /// The permits that all waiters together want.
    pub(crate) fn demand(&self) -> u64 {
        // Ordering: Relaxed; an estimate.
        self.demand.load(Ordering::Relaxed)
    }

    pub(crate) fn lock(&self) -> Locked<'_> {
        // A poisoned queue is taken all the same: nothing in here panics half-way.
        let queue = self.queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        Locked { queue, line: self }
    }

    /// Wakes the head, after permits have come.
    #[cold]
    #[inline(never)]
    pub(crate) fn wake_head(&self) {
        let waker = self.lock().take_head_waker();
        wake_all(waker);
    }

    /// The same after a change of quota, together with all that want more than a call can get now.
    #[cold]
    #[inline(never)]
    pub(crate) fn wake_after_change(&self, capacity: u64) {
        let wakers = self.lock().take_wakers(capacity);
        wake_all(wakers);
    }

    /// The same on behalf of somebody who asked for something else: their panics are not passed on to that one. They have
    /// been reported.
    #[cold]
    #[inline(never)]
    pub(crate) fn wake_quietly_after_change(&self, capacity: u64) {
        let wakers = self.lock().take_wakers(capacity);
        for waker in wakers {
            let _ = wake_quietly(waker);
        }
    }
}

/// The queue under its lock.
pub(crate) struct Locked<'a> {
    queue: MutexGuard<'a, Queue>,
    line: &'a Line,
}

impl Locked<'_> {
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.waiters.is_empty()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.queue.waiters.len() >= self.line.max_waiters
    }

    pub(crate) fn is_head(&self, key: usize) -> bool {
        self.queue.head == key
    }

    /// Whether it is the only one.
    pub(crate) fn is_alone(&self) -> bool {
        self.queue.waiters.len() == 1
    }

    /// Joins at the end.
    pub(crate) fn push(&mut self, n: u64) -> usize {
        let queue = &mut *self.queue;
        let previous = queue.tail;
        let key = queue.waiters.insert(Waiter { n, waker: None, previous, next: NONE });
        match queue.waiters.get_mut(previous) {
            Some(last) => last.next = key,
            None => queue.head = key,
        }
        queue.tail = key;
        queue.demand += u128::from(n);
        self.publish_demand();
        key
    }

    /// Goes, from wherever it stands, and leaves its waker, and that of the head if there is another one now: to be
    /// dropped and woken without the lock.
    pub(crate) fn unlink(&mut self, key: usize) -> [Option<Waker>; 2] {
        let queue = &mut *self.queue;
        let Waiter { n, waker, previous, next } = queue.waiters.remove(key);
        match queue.waiters.get_mut(previous) {
            Some(before) => before.next = next,
            None => queue.head = next,
        }
        match queue.waiters.get_mut(next) {
            Some(after) => after.previous = previous,
            None => queue.tail = previous,
        }
        if queue.waiters.is_empty() && queue.waiters.capacity() > LARGE {
            queue.waiters = Slab::new();
        }
        queue.demand -= u128::from(n);
        self.publish_demand();
        let head = if previous == NONE { self.take_head_waker() } else { None };
        [waker, head]
    }

    /// Stores the waker of one that stays, and hands back the one before: to be dropped without the lock.
    pub(crate) fn store(&mut self, key: usize, waker: Waker) -> Option<Waker> {
        self.queue.waiters[key].waker.replace(waker)
    }

    fn take_head_waker(&mut self) -> Option<Waker> {
        let queue = &mut *self.queue;
        queue.waiters.get_mut(queue.head)?.waker.take()
    }

    fn take_wakers(&mut self, capacity: u64) -> Vec<Waker> {
        let head = self.queue.head;
        let due = |(key, waiter): (usize, &mut Waiter)| {
            if key == head || waiter.n > capacity { waiter.waker.take() } else { None }
        };
        self.queue.waiters.iter_mut().filter_map(due).collect()
    }

    fn publish_demand(&self) {
        let demand = u64::try_from(self.queue.demand).unwrap_or(u64::MAX);
        // Ordering: Relaxed; written under the lock, read for estimates.
        self.line.demand.store(demand, Ordering::Relaxed);
    }
}
