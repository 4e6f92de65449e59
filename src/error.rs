//! What can go wrong: a call is told "not now" or "never", a configuration is told what it must be.

use alloc::boxed::Box;
use core::error::Error;
use core::fmt;
use core::time::Duration;

/// Why a limiter gave nothing. Nothing was charged.
///
/// ```
/// use sluicegate::{ManualClock, Quota, RateLimitExceeded, TokenBucket};
/// use std::time::Duration;
///
/// let bucket = TokenBucket::with_clock(Quota::per_second(4).burst(2), ManualClock::new())?;
/// assert_eq!(bucket.try_acquire_n(2), Ok(()));
///
/// let denied = bucket.try_acquire().unwrap_err();
/// assert_eq!(denied, RateLimitExceeded::Denied { retry_after: Duration::from_millis(250) });
/// assert_eq!(denied.retry_after_secs(), Some(1)); // what an HTTP header wants
///
/// let never = bucket.try_acquire_n(3).unwrap_err();
/// assert_eq!(never, RateLimitExceeded::ExceedsCapacity { requested: 3, capacity: 2 });
/// assert_eq!(never.retry_after(), None);
/// # Ok::<(), sluicegate::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[must_use]
pub enum RateLimitExceeded {
    /// Not now: the same call succeeds after exactly this, if nobody else comes.
    ///
    /// Exact in the clock's own nanoseconds: one earlier it is still denied. While others wait in line it is an estimate
    /// that counts the demand ahead, and never zero. `Duration::MAX` where the moment lies beyond the limiter's horizon.
    Denied {
        /// How long until the same call would succeed.
        retry_after: Duration,
    },
    /// Never: more was asked for than the limiter can ever have at once. Waiting does not help.
    ExceedsCapacity {
        /// The permits that were asked for.
        requested: u64,
        /// The most that one call can get.
        capacity: u64,
    },
    /// Per key: there is no room for a key that is not known yet, now.
    KeysExhausted {
        /// The most keys that the limiter keeps.
        max_keys: usize,
    },
}

impl RateLimitExceeded {
    /// How long until the same call would succeed; `None` when no waiting is known to help.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Denied { retry_after } => Some(*retry_after),
            Self::ExceedsCapacity { .. } | Self::KeysExhausted { .. } => None,
        }
    }

    /// How long until the same call would succeed in whole seconds, rounded up and at least 1, as the HTTP header
    /// `Retry-After` wants it
    /// ([RFC 9110, section 10.2.3](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3)).
    #[must_use]
    pub const fn retry_after_secs(&self) -> Option<u64> {
        match self.retry_after() {
            None => None,
            Some(wait) => {
                let secs = wait.as_secs().saturating_add((wait.subsec_nanos() > 0) as u64);
                Some(if secs == 0 { 1 } else { secs })
            }
        }
    }
}

impl fmt::Display for RateLimitExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied { retry_after } => write!(f, "rate limit exceeded, retry after {retry_after:?}"),
            Self::ExceedsCapacity { requested, capacity } => {
                write!(f, "{requested} permits requested, but at most {capacity} are ever available at once")
            }
            Self::KeysExhausted { max_keys } => {
                write!(f, "all {max_keys} keys of the limiter are in use, there is no room for another one now")
            }
        }
    }
}

impl Error for RateLimitExceeded {}

/// A configuration that no limiter can be built from: which field, and what it must be.
///
/// ```
/// use sluicegate::{Quota, TokenBucket};
///
/// let error = TokenBucket::new(Quota::per_second(0)).unwrap_err();
/// assert_eq!(error.field(), "permits");
/// assert_eq!(error.message(), "permits must be at least 1");
/// assert_eq!((error.to_string(), error.largest()), ("permits must be at least 1".to_owned(), None));
///
/// // Three permits a year, and a burst that takes 300 years to fill: the error tells what would fit.
/// let error = TokenBucket::new(Quota::per_day(3).burst(400_000)).unwrap_err();
/// assert_eq!(error.field(), "burst");
/// let largest = error.largest().expect("a smaller burst fits");
/// assert!(TokenBucket::new(Quota::per_day(3).burst(largest)).is_ok());
/// assert!(TokenBucket::new(Quota::per_day(3).burst(largest + 1)).is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConfigError {
    field: &'static str,
    message: &'static str,
    largest: Option<u64>,
}

impl ConfigError {
    pub(crate) const fn new(field: &'static str, message: &'static str) -> Self {
        Self { field, message, largest: None }
    }

    pub(crate) const fn with_largest(self, largest: u64) -> Self {
        Self { largest: Some(largest), ..self }
    }

    /// The name of the offending field, as the builder or constructor calls it.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        self.field
    }

    /// The largest value of the field that would fit with the rest, where that is what went wrong.
    #[must_use]
    pub const fn largest(&self) -> Option<u64> {
        self.largest
    }

    /// What the field must be: the text that a `const_new` fails to compile with.
    #[must_use]
    pub const fn message(&self) -> &'static str {
        self.message
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message)?;
        match self.largest {
            Some(largest) => write!(f, "; the largest that fits is {largest}"),
            None => Ok(()),
        }
    }
}

impl Error for ConfigError {}

/// A text that is no [`Quota`](crate::Quota): what was expected, and where.
///
/// ```
/// use sluicegate::Quota;
///
/// let error = "100/s bursts 5".parse::<Quota>().unwrap_err();
/// assert_eq!(error.to_string(), "expected \"burst\" or the end at column 7 of \"100/s bursts 5\"");
/// assert_eq!((error.position(), error.expected()), (6, "\"burst\" or the end"));
///
/// // That no limiter accepts it is another error, when one is built.
/// assert_eq!("0/s".parse(), Ok(Quota::per_second(0)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ParseQuotaError {
    text: Box<str>,
    position: usize,
    expected: &'static str,
}

impl ParseQuotaError {
    /// `position` lies on a boundary of characters.
    pub(crate) fn new(text: &str, position: usize, expected: &'static str) -> Self {
        Self { text: text.into(), position, expected }
    }

    /// The place in the text, in bytes from its start: where the text itself may be cut.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.position
    }

    /// What should have stood there.
    #[must_use]
    pub const fn expected(&self) -> &'static str {
        self.expected
    }
}

/// With the column, in characters from 1, and the text.
impl fmt::Display for ParseQuotaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { text, position, expected } = self;
        if text[*position..].is_empty() {
            return write!(f, "expected {expected} at the end of {text:?}");
        }
        write!(f, "expected {expected} at column {} of {text:?}", text[..*position].chars().count() + 1)
    }
}

impl Error for ParseQuotaError {}
