//! Without the feature `async` nobody waits.

#[derive(Debug)]
pub(crate) struct Line;

impl Line {
    pub(crate) const fn new() -> Self {
        Self
    }

    pub(crate) fn wake_head(&self) {}

    pub(crate) fn wake_after_change(&self, _capacity: u64) {}

    pub(crate) fn wake_quietly_after_change(&self, _capacity: u64) {}

    pub(crate) fn demand(&self) -> u64 {
        0
    }
}
