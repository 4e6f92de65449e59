//! What was measured, read back: a row a measurement, told by columns.

use std::error::Error;
use std::fs;
use std::path::Path;

use csv::{ReaderBuilder, StringRecord};
use sluicegate_benches::quartiles::Quartiles;

/// The rows of one figure.
#[derive(Debug)]
pub(crate) struct Rows {
    name: String,
    /// How many cores the machine had.
    pub(crate) cores: String,
    header: StringRecord,
    records: Vec<StringRecord>,
}

/// Of the rows in which columns have these values.
pub(crate) type Where<'a> = &'a [(&'a str, &'a str)];

impl Rows {
    /// Those of the figure `name`.
    pub(crate) fn read(directory: &Path, name: &str) -> Result<Self, Box<dyn Error>> {
        let path = directory.join(name).with_extension("csv");
        let told = |error: csv::Error| format!("{}: {error}", path.display());
        let text = fs::read_to_string(&path).map_err(|error| told(error.into()))?;
        let cores = text.lines().find_map(|line| line.strip_prefix("# cores: ")).unwrap_or("?").to_owned();
        let mut reader = ReaderBuilder::new().comment(Some(b'#')).from_reader(text.as_bytes());
        let header = reader.headers().map_err(told)?.clone();
        let records = reader.records().collect::<Result<_, _>>().map_err(told)?;
        Ok(Self { name: name.to_owned(), cores, header, records })
    }

    fn column(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|column| column == name)
    }

    /// What stands in `column`, as text.
    pub(crate) fn texts<'a>(&'a self, rows: Where<'_>, column: &str) -> Vec<&'a str> {
        let is_wanted = |record: &&StringRecord| {
            rows.iter().all(|(name, value)| self.column(name).and_then(|index| record.get(index)) == Some(*value))
        };
        let column = self.column(column);
        self.records.iter().filter(is_wanted).filter_map(|record| record.get(column?)).collect()
    }

    /// The same without what is said twice, in the order of the file.
    pub(crate) fn distinct<'a>(&'a self, rows: Where<'_>, column: &str) -> Vec<&'a str> {
        let mut seen = Vec::new();
        for text in self.texts(rows, column) {
            if !seen.contains(&text) {
                seen.push(text);
            }
        }
        seen
    }

    /// The numbers that stand in `column`, one a round.
    fn numbers(&self, rows: Where<'_>, column: &str) -> Result<Vec<f64>, String> {
        let texts = self.texts(rows, column);
        let numbers: Vec<f64> = texts.iter().filter_map(|text| text.parse().ok()).collect();
        if numbers.is_empty() || numbers.len() < texts.len() {
            return Err(format!("{}.csv: no numbers in {column} where {rows:?}", self.name));
        }
        Ok(numbers)
    }

    /// The median of what stands in `column`.
    pub(crate) fn median(&self, rows: Where<'_>, column: &str) -> Result<f64, String> {
        self.numbers(rows, column).map(|numbers| Quartiles::of(numbers).median)
    }

    /// The median of the ratios of two subjects, round by round.
    pub(crate) fn ratio(&self, rows: Where<'_>, ours: &str, theirs: &str, column: &str) -> Result<f64, String> {
        let of = |subject| self.numbers(&[rows, &[("subject", subject)]].concat(), column);
        let (ours, theirs) = (of(ours)?, of(theirs)?);
        Ok(Quartiles::of(ours.iter().zip(&theirs).map(|(ours, theirs)| ours / theirs).collect()).median)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use csv::StringRecord;

    use super::Rows;

    pub(crate) fn rows(header: &[&str], records: &[&[&str]]) -> Rows {
        let record = |fields: &[&str]| StringRecord::from(fields.to_vec());
        Rows {
            name: "test".to_owned(),
            cores: "2".to_owned(),
            header: record(header),
            records: records.iter().map(|fields| record(fields)).collect(),
        }
    }

    #[test]
    fn ratios_are_of_the_same_round() {
        let fields =
            [["a", "0", "2"], ["a", "1", "30"], ["a", "2", "9"], ["b", "0", "1"], ["b", "1", "10"], ["b", "2", "1"]];
        let records: Vec<&[&str]> = fields.iter().map(<[&str; 3]>::as_slice).collect();
        let rows = rows(&["subject", "round", "ns"], &records);
        assert_eq!(rows.distinct(&[], "subject"), ["a", "b"]);
        assert_eq!(rows.median(&[("subject", "a")], "ns"), Ok(9.0));
        assert_eq!(rows.ratio(&[], "a", "b", "ns"), Ok(3.0));
        assert!(rows.median(&[("subject", "c")], "ns").unwrap_err().contains("test.csv"));
        assert!(rows.median(&[("subject", "a")], "subject").is_err());
    }
}
