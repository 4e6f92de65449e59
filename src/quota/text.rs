//! A quota as people write it: `100/s`, `5000/h burst 200`.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;

use super::Quota;
use crate::error::ParseQuotaError;

/// A unit of time: its length in nanoseconds, and its names, of which the first is written.
type Unit = (u64, &'static [&'static str]);

/// The longest first.
const UNITS: [Unit; 7] = [
    (86_400_000_000_000, &["d", "day", "days"]),
    (3_600_000_000_000, &["h", "hr", "hrs", "hour", "hours"]),
    (60_000_000_000, &["min", "m", "mins", "minute", "minutes"]),
    (1_000_000_000, &["s", "sec", "secs", "second", "seconds"]),
    (1_000_000, &["ms"]),
    // With the sign for micro, and with the Greek letter.
    (1_000, &["us", "\u{b5}s", "\u{3bc}s"]),
    NANOSECOND,
];
const NANOSECOND: Unit = (1, &["ns"]);

const NANOS_PER_SEC: u128 = 1_000_000_000;

/// With more decimals than this, the last of which is not 0, no time is a whole number of nanoseconds: a day has the prime
/// factor 2 sixteen times, and 5 less often.
const MOST_DECIMALS: usize = 16;

const UNIT: &str = "a unit of time (ns, us, ms, s, min, h, d)";
const PERMITS: &str = "a whole number of permits";

fn is_digit(c: char) -> bool {
    c.is_ascii_digit()
}

/// The text that [`FromStr`] reads back as this very quota: the period in the largest unit in which it is a whole number, or in
/// decimal seconds; the burst where it is not the permits.
///
/// ```
/// use sluicegate::Quota;
/// use std::time::Duration;
///
/// assert_eq!(Quota::per_second(100).to_string(), "100/s");
/// assert_eq!(Quota::per_hour(5_000).burst(200).to_string(), "5000/h burst 200");
/// assert_eq!(Quota::per(3, Duration::from_millis(1_500)).to_string(), "3/1.5s");
/// assert_eq!(Quota::from_rate(2.5).to_string(), "5/2s burst 2");
/// ```
impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.permits, Period(self.period))?;
        if self.burst == self.permits { Ok(()) } else { write!(f, " burst {}", self.burst) }
    }
}

/// Reads what [`Display`](fmt::Display) writes, and what people write:
///
/// ```text
/// quota  = number "/" period [ "burst" number ]
/// period = [ number [ "." digit { digit } ] ] unit
/// number = digit { digit | "_" }
/// unit   = "ns" | "us" | "µs" | "ms"
///        | "s" | "sec" | "secs" | "second" | "seconds"
///        | "m" | "min" | "mins" | "minute" | "minutes"
///        | "h" | "hr" | "hrs" | "hour" | "hours"
///        | "d" | "day" | "days"
/// ```
///
/// White space may stand before, behind and between these parts, but not within a number. Letters are lower case; `m` is a minute,
/// a day 24 hours. A unit alone is one of it. Without `burst` the burst is the permits. A number must be below 2^64, a period below
/// 2^64 seconds and a whole number of nanoseconds.
///
/// What is read is not checked: `0/s` is a quota that no limiter accepts, as `Quota::per_second(0)` is.
///
/// ```
/// use sluicegate::Quota;
/// use std::time::Duration;
///
/// assert_eq!("100/s".parse(), Ok(Quota::per_second(100)));
/// assert_eq!("5_000 / hour  burst 200".parse(), Ok(Quota::per_hour(5_000).burst(200)));
/// assert_eq!("7/1.5s".parse(), Ok(Quota::per(7, Duration::from_millis(1_500))));
///
/// let error = "100/x".parse::<Quota>().unwrap_err();
/// assert_eq!(error.to_string(), "expected a unit of time (ns, us, ms, s, min, h, d) at column 5 of \"100/x\"");
/// ```
impl FromStr for Quota {
    type Err = ParseQuotaError;

    fn from_str(text: &str) -> Result<Self, ParseQuotaError> {
        let mut parser = Parser::new(text);
        let permits = parser.number(PERMITS)?;
        parser.skip("");
        if !parser.rest.starts_with('/') {
            // Of `2.5/s` it is worth saying more.
            let is_fraction = parser.rest.starts_with('.');
            return Err(parser.expected(if is_fraction { "\"/\" (permits are whole, as in 5/2s)" } else { "\"/\"" }));
        }
        parser.skip("/");
        let period = parser.period()?;
        let burst = match parser.rest {
            "" => permits,
            _ if parser.word() == "burst" => {
                parser.skip("burst");
                let burst = parser.number(PERMITS)?;
                parser.skip("");
                burst
            }
            _ => return Err(parser.expected("\"burst\" or the end")),
        };
        parser.end()?;
        Ok(Self { permits, period, burst })
    }
}

/// A time as the text of a quota has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Period(pub(crate) Duration);

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        if nanos == 0 {
            return f.write_str("0s");
        }
        if nanos > NANOS_PER_SEC && nanos % NANOS_PER_SEC != 0 {
            let decimals = nanos % NANOS_PER_SEC;
            let zeros = (1..9).take_while(|&power| decimals % 10_u128.pow(power) == 0).count();
            let width = 9 - zeros;
            return write!(f, "{}.{:0width$}s", self.0.as_secs(), decimals / 10_u128.pow(zeros as u32));
        }
        let (length, names) = UNITS.iter().find(|(length, _)| nanos % u128::from(*length) == 0).unwrap_or(&NANOSECOND);
        match nanos / u128::from(*length) {
            1 => f.write_str(names[0]),
            count => write!(f, "{count}{}", names[0]),
        }
    }
}

impl FromStr for Period {
    type Err = ParseQuotaError;

    fn from_str(text: &str) -> Result<Self, ParseQuotaError> {
        let mut parser = Parser::new(text);
        let period = parser.period()?;
        parser.end()?;
        Ok(Self(period))
    }
}

/// What is left of a text.
struct Parser<'a> {
    text: &'a str,
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, rest: text.trim_start() }
    }

    /// What should have stood where the rest begins.
    fn expected(&self, what: &'static str) -> ParseQuotaError {
        self.expected_at(self.rest, what)
    }

    fn expected_at(&self, rest: &str, what: &'static str) -> ParseQuotaError {
        ParseQuotaError::new(self.text, self.text.len() - rest.len(), what)
    }

    /// Goes on behind `part`, with which the rest begins, and white space.
    fn skip(&mut self, part: &str) {
        self.rest = self.rest[part.len()..].trim_start();
    }

    /// The letters at the beginning of the rest.
    fn word(&self) -> &'a str {
        let end = self.rest.find(|c: char| !c.is_alphabetic()).unwrap_or(self.rest.len());
        &self.rest[..end]
    }

    fn number(&mut self, what: &'static str) -> Result<u64, ParseQuotaError> {
        let end = self.rest.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(self.rest.len());
        let digits = &self.rest[..end];
        if !digits.starts_with(is_digit) {
            return Err(self.expected(what));
        }
        let mut value = 0_u64;
        for digit in digits.bytes().filter(u8::is_ascii_digit) {
            let next = value.checked_mul(10).and_then(|value| value.checked_add(u64::from(digit - b'0')));
            value = next.ok_or_else(|| self.expected("a number below 2^64"))?;
        }
        self.rest = &self.rest[end..];
        Ok(value)
    }

    fn period(&mut self) -> Result<Duration, ParseQuotaError> {
        let start = self.rest;
        let (mut whole, mut decimals) = (1, "");
        if start.starts_with(is_digit) {
            whole = self.number(UNIT)?;
            if let Some(rest) = self.rest.strip_prefix('.') {
                self.rest = rest;
                decimals = self.decimals()?;
            }
            self.skip("");
        }
        let word = self.word();
        let Some((length, _)) = UNITS.iter().find(|(_, names)| names.contains(&word)) else {
            return Err(self.expected(UNIT));
        };
        self.skip(word);

        let length = u128::from(*length);
        let Some(part) = part(decimals, length) else {
            return Err(self.expected_at(start, "a whole number of nanoseconds"));
        };
        // Below 2^64 * 2^47.
        let nanos = u128::from(whole) * length + part;
        match u64::try_from(nanos / NANOS_PER_SEC) {
            Ok(secs) => Ok(Duration::new(secs, (nanos % NANOS_PER_SEC) as u32)),
            Err(_) => Err(self.expected_at(start, "a time below 2^64 seconds")),
        }
    }

    /// The digits behind a point, but for zeros at their end.
    fn decimals(&mut self) -> Result<&'a str, ParseQuotaError> {
        let end = self.rest.find(|c| !is_digit(c)).unwrap_or(self.rest.len());
        if end == 0 {
            return Err(self.expected("a digit"));
        }
        let digits = &self.rest[..end];
        self.rest = &self.rest[end..];
        Ok(digits.trim_end_matches('0'))
    }

    fn end(&self) -> Result<(), ParseQuotaError> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.expected("the end")) }
    }
}

/// So many decimals of a unit, if that is a whole number of nanoseconds.
fn part(decimals: &str, unit: u128) -> Option<u128> {
    if decimals.len() > MOST_DECIMALS {
        return None;
    }
    // Below 10^16 * 2^47.
    let nanos = decimals.bytes().fold(0, |value, digit| value * 10 + u128::from(digit - b'0')) * unit;
    let scale = 10_u128.pow(decimals.len() as u32);
    (nanos % scale == 0).then_some(nanos / scale)
}
