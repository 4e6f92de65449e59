//! What is told of many rounds: the median and the quartiles, which a few disturbed rounds do not move.

use core::fmt;

/// The middle half of many values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quartiles {
    /// A quarter of the values lies below.
    pub lower: f64,
    /// Half of the values lies below.
    pub median: f64,
    /// A quarter of the values lies above.
    pub upper: f64,
}

impl Quartiles {
    /// Of `values`; between two of them in proportion. NaN for none.
    #[must_use]
    pub fn of(mut values: Vec<f64>) -> Self {
        values.sort_unstable_by(f64::total_cmp);
        let at = |quarters: f64| {
            let position = quarters / 4.0 * values.len().saturating_sub(1) as f64;
            let value = |index: f64| values.get(index as usize).copied().unwrap_or(f64::NAN);
            let (below, above) = (value(position.floor()), value(position.ceil()));
            below + (above - below) * position.fract()
        };
        Self { lower: at(1.0), median: at(2.0), upper: at(3.0) }
    }
}

/// `median (lower - upper)`, to the precision that is asked for.
impl fmt::Display for Quartiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(2);
        write!(f, "{:.digits$} ({:.digits$} - {:.digits$})", self.median, self.lower, self.upper)
    }
}

#[cfg(test)]
mod tests {
    use super::Quartiles;

    #[test]
    fn of_five_and_of_four() {
        let five = Quartiles::of(vec![5.0, 1.0, 4.0, 2.0, 3.0]);
        assert_eq!((five.lower, five.median, five.upper), (2.0, 3.0, 4.0));
        let four = Quartiles::of(vec![4.0, 1.0, 3.0, 2.0]);
        assert_eq!((four.lower, four.median, four.upper), (1.75, 2.5, 3.25));
        assert_eq!(format!("{five:.1}"), "3.0 (2.0 - 4.0)");
    }

    #[test]
    fn of_one_and_of_none() {
        assert_eq!(Quartiles::of(vec![7.0]), Quartiles { lower: 7.0, median: 7.0, upper: 7.0 });
        assert!(Quartiles::of(Vec::new()).median.is_nan());
    }
}
