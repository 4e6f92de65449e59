//! The text of a quota against a reader that is written from the grammar; what every quota writes is read back.
//!
//! Kills: decimals that are cut off; an error that is shown one place early.
#![no_main]

use std::time::Duration;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use num_bigint::BigUint;
use sluicegate::Quota;

#[derive(Debug, Arbitrary)]
enum Input {
    Text(String),
    Words(Vec<Word>),
    Quota(u64, Duration, u64),
    Rate(f64),
}

#[derive(Debug, Arbitrary)]
enum Word {
    Number(u64),
    Digit(u8),
    Char(char),
    Slash,
    Point,
    Space,
    Unit(u8),
    Burst,
}

impl Word {
    fn text(self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Digit(digit) => (digit % 10).to_string(),
            Self::Char(other) => other.to_string(),
            Self::Slash => "/".into(),
            Self::Point => ".".into(),
            Self::Space => " ".into(),
            Self::Unit(index) => NAMES[usize::from(index) % NAMES.len()].0.into(),
            Self::Burst => "burst".into(),
        }
    }
}

const NAMES: [(&str, u64); 25] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("sec", 1_000_000_000),
    ("secs", 1_000_000_000),
    ("second", 1_000_000_000),
    ("seconds", 1_000_000_000),
    ("m", 60_000_000_000),
    ("min", 60_000_000_000),
    ("mins", 60_000_000_000),
    ("minute", 60_000_000_000),
    ("minutes", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("hr", 3_600_000_000_000),
    ("hrs", 3_600_000_000_000),
    ("hour", 3_600_000_000_000),
    ("hours", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
    ("day", 86_400_000_000_000),
    ("days", 86_400_000_000_000),
    // No units.
    ("w", 0),
    ("S", 0),
];

/// What the grammar says, cut at its marks instead of read from left to right.
fn read(text: &str) -> Option<Quota> {
    let (permits, rest) = text.split_once('/')?;
    let permits = number(permits.trim())?.try_into().ok()?;
    let (period, burst) = match rest.find("burst") {
        Some(at) if rest[..at].ends_with(char::is_alphabetic) => return None,
        Some(at) => (&rest[..at], number(rest[at + 5..].trim())?.try_into().ok()?),
        None => (rest, permits),
    };
    let period = period.trim();
    let (count, unit) = period.split_at(period.find(|c: char| !"0123456789_.".contains(c))?);
    let &(_, unit) = NAMES.iter().find(|&&(name, nanos)| name == unit.trim() && nanos > 0)?;
    let (whole, decimals) = count.split_once('.').unwrap_or((if count.is_empty() { "1" } else { count }, "0"));
    if decimals.is_empty() || !decimals.bytes().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let scale = BigUint::from(10_u8).pow(decimals.len() as u32);
    let nanos = (number(whole)? * &scale + number(decimals)?) * unit;
    if &nanos % &scale != BigUint::ZERO {
        return None;
    }
    let (nanos, second) = (nanos / scale, BigUint::from(1_000_000_000_u32));
    let secs = u64::try_from(&nanos / &second).ok()?;
    let period = Duration::new(secs, u32::try_from(nanos % second).ok()?);
    // Each of the numbers must fit, whatever their unit makes of it.
    u64::try_from(number(whole)?).ok()?;
    Some(Quota::per(permits, period).burst(burst))
}

fn number(text: &str) -> Option<BigUint> {
    let is_one =
        text.starts_with(|c: char| c.is_ascii_digit()) && text.bytes().all(|c| c.is_ascii_digit() || c == b'_');
    is_one.then(|| text.replace('_', "").parse().expect("digits"))
}

fn check(text: &str) {
    let outcome = text.parse::<Quota>();
    assert_eq!(outcome.as_ref().ok(), read(text).as_ref(), "{text:?}");
    match outcome {
        Ok(quota) => assert_eq!(quota.to_string().parse(), Ok(quota)),
        Err(error) => {
            // Whatever comes before the place is the beginning of a quota.
            let before = &text[..error.position()];
            assert!(before.parse::<Quota>().map_or_else(|error| error.position() == before.len(), |_| true), "{error}");
            assert!(error.to_string().starts_with(&format!("expected {} at ", error.expected())));
        }
    }
}

fuzz_target!(|input: Input| match input {
    Input::Text(text) => check(&text),
    Input::Words(words) => check(&words.into_iter().map(Word::text).collect::<String>()),
    Input::Quota(permits, period, burst) => check(&Quota::per(permits, period).burst(burst).to_string()),
    Input::Rate(rate) => check(&Quota::from_rate(rate).to_string()),
});
