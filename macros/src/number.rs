//! What options are given: numbers and times, exactly as they are written, where an `f64` would already have rounded.

use proc_macro2::Span;
use syn::{Error, Expr, ExprLit, ExprUnary, Lit, LitStr, Result, UnOp};

/// A number that is not negative, as a fraction in lowest terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fraction {
    pub(crate) numerator: u64,
    pub(crate) denominator: u64,
}

impl Fraction {
    /// From a literal's decimal digits, such as `2.5` or `1e-3`; `None` if they are too many.
    fn parse(digits: &str) -> Option<Self> {
        let (mantissa, exponent) = digits.split_once(['e', 'E']).unwrap_or((digits, "0"));
        let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let part = part.trim_end_matches('0');
        let numerator: u128 = format!("{whole}{part}").parse().ok()?;
        if numerator == 0 {
            return Some(Self { numerator: 0, denominator: 1 });
        }
        let exponent = exponent.parse::<i32>().ok()?.checked_sub(i32::try_from(part.len()).ok()?)?;
        let power = 10_u128.checked_pow(exponent.unsigned_abs())?;
        let (numerator, denominator) =
            if exponent < 0 { (numerator, power) } else { (numerator.checked_mul(power)?, 1) };
        let common = common_divisor(numerator, denominator);
        Some(Self {
            numerator: u64::try_from(numerator / common).ok()?,
            denominator: u64::try_from(denominator / common).ok()?,
        })
    }
}

fn common_divisor(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// The value of `rate`, and where it stands.
pub(crate) fn rate(value: &Expr) -> Result<(Fraction, Span)> {
    let (digits, suffix, span) = match literal(value) {
        Some(Lit::Int(int)) => (int.base10_digits(), int.suffix(), int.span()),
        Some(Lit::Float(float)) => (float.base10_digits(), float.suffix(), float.span()),
        _ if is_negative(value) => return Err(Error::new_spanned(value, "`rate` must be above zero")),
        _ => return Err(Error::new_spanned(value, RATE_IS)),
    };
    if !suffix.is_empty() {
        return Err(Error::new(span, RATE_IS));
    }
    match Fraction::parse(digits) {
        Some(Fraction { numerator: 0, .. }) => Err(Error::new(span, "`rate` must be above zero")),
        Some(rate) => Ok((rate, span)),
        None => Err(Error::new(span, RATE_FITS)),
    }
}

const RATE_IS: &str = "`rate` is a number, such as `10.0`; for a computed one give a `limiter`";

/// What a number must be that is not even kept.
pub(crate) const RATE_FITS: &str =
    "`rate` must be from 1 permit a year to 4e9 permits a second, and has too many digits if it is";

/// The value of `burst`, and where it stands.
pub(crate) fn burst(value: &Expr) -> Result<(u64, Span)> {
    match literal(value) {
        Some(Lit::Int(int)) if int.suffix().is_empty() => match int.base10_parse() {
            Ok(0) => Err(Error::new(int.span(), "`burst` must be at least 1 permit")),
            Ok(permits) => Ok((permits, int.span())),
            Err(_) => Err(Error::new(int.span(), "`burst` must be at most 2^40 permits")),
        },
        _ if is_negative(value) => Err(Error::new_spanned(value, "`burst` must be at least 1 permit")),
        _ => Err(Error::new_spanned(value, "`burst` is a whole number of permits, such as `20`")),
    }
}

/// The value of `per`, in seconds.
pub(crate) fn per(value: &Expr) -> Result<u64> {
    const PER_IS: &str = "`per` is one of `\"second\"`, `\"minute\"`, `\"hour\"` and `\"day\"`";
    match text(value, PER_IS)?.value().as_str() {
        "second" => Ok(1),
        "minute" => Ok(60),
        "hour" => Ok(3_600),
        "day" => Ok(86_400),
        _ => Err(Error::new_spanned(value, PER_IS)),
    }
}

/// The value of `timeout`, in nanoseconds.
pub(crate) fn timeout(value: &Expr) -> Result<u64> {
    const TIMEOUT_IS: &str = "`timeout` is a whole number of `us`, `ms`, `s`, `min` or `h`, such as `\"100ms\"`";
    let text = text(value, TIMEOUT_IS)?;
    let written = text.value();
    let (number, unit) = written.split_at(written.find(|c: char| !c.is_ascii_digit()).unwrap_or(written.len()));
    let unit: u64 = match unit.trim_start() {
        "us" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "min" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return Err(Error::new(text.span(), TIMEOUT_IS)),
    };
    if number.is_empty() {
        return Err(Error::new(text.span(), TIMEOUT_IS));
    }
    let nanos = number.parse().ok().and_then(|number: u64| number.checked_mul(unit));
    nanos.ok_or_else(|| Error::new(text.span(), "`timeout` must be below 2^64 nanoseconds, which are 584 years"))
}

fn literal(value: &Expr) -> Option<&Lit> {
    match value {
        Expr::Lit(ExprLit { lit, .. }) => Some(lit),
        // What a `macro_rules` matched as a literal or an expression.
        Expr::Group(group) => literal(&group.expr),
        _ => None,
    }
}

fn is_negative(value: &Expr) -> bool {
    match value {
        Expr::Unary(ExprUnary { op: UnOp::Neg(_), expr, .. }) => literal(expr).is_some(),
        Expr::Group(group) => is_negative(&group.expr),
        _ => false,
    }
}

fn text<'a>(value: &'a Expr, otherwise: &str) -> Result<&'a LitStr> {
    match literal(value) {
        Some(Lit::Str(text)) => Ok(text),
        _ => Err(Error::new_spanned(value, otherwise)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fraction(digits: &str) -> Option<(u64, u64)> {
        Fraction::parse(digits).map(|Fraction { numerator, denominator }| (numerator, denominator))
    }

    #[test]
    fn a_number_is_what_it_is_written_as() {
        assert_eq!(fraction("10"), Some((10, 1)));
        assert_eq!(fraction("10.0"), Some((10, 1)));
        assert_eq!(fraction("2.5"), Some((5, 2)));
        assert_eq!(fraction("0.1"), Some((1, 10)));
        assert_eq!(fraction("1e-3"), Some((1, 1_000)));
        assert_eq!(fraction("2.50E+2"), Some((250, 1)));
        assert_eq!(fraction("0.0e99"), Some((0, 1)));
        assert_eq!(fraction("12.345e1"), Some((2_469, 20)));
        assert_eq!(fraction("18446744073709551615"), Some((u64::MAX, 1)));
        // As an `f64` this would be the whole number.
        assert_eq!(fraction("1.00000000000000000001"), None);
        assert_eq!(fraction("1.000000000000000005"), Some((200_000_000_000_000_001, 200_000_000_000_000_000)));
    }

    #[test]
    fn a_number_that_does_not_fit_is_none() {
        assert_eq!(fraction("18446744073709551616"), None);
        assert_eq!(fraction("1e20"), None);
        assert_eq!(fraction("1e-20"), None);
        assert_eq!(fraction("1e99999999999"), None);
        assert_eq!(fraction("1e-2147483648"), None);
        assert_eq!(fraction("0.1e-2147483648"), None);
    }

    #[test]
    fn a_timeout_is_exact() {
        let nanos = |text: &str| timeout(&syn::parse_quote!(#text)).ok();
        assert_eq!(nanos("100ms"), Some(100_000_000));
        assert_eq!(nanos("0s"), Some(0));
        assert_eq!(nanos("7us"), Some(7_000));
        assert_eq!(nanos("2 min"), Some(120_000_000_000));
        assert_eq!(nanos("1h"), Some(3_600_000_000_000));
        assert_eq!(nanos("18446744073s"), Some(18_446_744_073_000_000_000));
        for wrong in ["", "ms", "100", "1.5s", "-1s", "1d", "1sec", "18446744074s", "99999999999999999999ms"] {
            assert_eq!(nanos(wrong), None, "{wrong}");
        }
    }
}
