//! The quota of a limiter of the function's own.

use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;

use crate::number::Fraction;

/// `permits` in `seconds`, and at most `burst` at once: exactly what was written, as a quota is given.
#[derive(Debug)]
pub(crate) struct Quota {
    permits: u64,
    seconds: u64,
    burst: u64,
    /// From the rate to what was said of it last.
    place: (Span, Span),
}

impl Quota {
    /// `None` if the time in which the permits come has too many digits.
    pub(crate) fn new(rate: Fraction, seconds: u64, burst: Option<u64>, place: (Span, Span)) -> Option<Self> {
        Some(Self {
            permits: rate.numerator,
            seconds: rate.denominator.checked_mul(seconds)?,
            // As of `Quota::per` where the rate is a whole number, and as of `Quota::from_rate` where not.
            burst: burst.unwrap_or((rate.numerator / rate.denominator).max(1)),
            place,
        })
    }

    /// The bucket; what is wrong with the quota is found when the compiler makes it, and points at the numbers.
    pub(crate) fn bucket(&self) -> TokenStream {
        let Self { permits, seconds, burst, place: (from, to) } = self;
        let quota = quote_spanned! {*to=>
            (::sluicegate::Quota::per(#permits, ::core::time::Duration::from_secs(#seconds)).burst(#burst))
        };
        quote_spanned! {*from=> ::sluicegate::TokenBucket::const_new #quota }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(numerator: u64, denominator: u64, seconds: u64) -> Option<(u64, u64, u64)> {
        let place = (Span::call_site(), Span::call_site());
        let quota = Quota::new(Fraction { numerator, denominator }, seconds, None, place)?;
        Some((quota.permits, quota.seconds, quota.burst))
    }

    #[test]
    fn a_quota_is_exact_and_its_burst_what_one_period_brings() {
        assert_eq!(quota(10, 1, 60), Some((10, 60, 10)));
        assert_eq!(quota(5, 2, 1), Some((5, 2, 2)));
        assert_eq!(quota(1, 10, 3_600), Some((1, 36_000, 1)));
        assert_eq!(quota(1, u64::MAX, 60), None);
    }
}
