//! The Markdown that people read, and the same as CSV.

use std::fs::File;
use std::io::{self, Write};

/// One property: a line for each limiter or each case.
#[derive(Debug)]
pub(crate) struct Table {
    /// Its name in the CSV.
    pub(crate) name: &'static str,
    /// Its heading.
    title: &'static str,
    /// What the cells are, in sentences, before the table.
    pub(crate) text: &'static str,
    /// Of all columns, the first one included.
    pub(crate) header: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

impl Table {
    /// For one property, without rows.
    pub(crate) fn new(
        name: &'static str,
        title: &'static str,
        text: &'static str,
        first: &str,
        columns: impl Iterator<Item = String>,
    ) -> Self {
        Self { name, title, text, header: std::iter::once(first.to_owned()).chain(columns).collect(), rows: Vec::new() }
    }

    /// Prints it, and writes each cell as a line of the CSV.
    pub(crate) fn print(&self, csv: &mut Option<File>) -> io::Result<()> {
        println!("\n### {}\n\n{}\n", self.title, wrapped(self.text));
        println!("| {} |", self.header.join(" | "));
        println!("| --- |{}", " ---: |".repeat(self.header.len() - 1));
        for row in &self.rows {
            println!("| {} |", row.join(" | "));
        }
        let Some(csv) = csv else { return Ok(()) };
        for row in &self.rows {
            for (column, cell) in self.header.iter().zip(row).skip(1) {
                writeln!(csv, "{},\"{}\",\"{column}\",\"{cell}\"", self.name, row[0])?;
            }
        }
        Ok(())
    }
}

/// What stands where a limiter cannot do what is asked.
pub(crate) const NOTHING: &str = "—";

/// In lines of 128 characters at most.
fn wrapped(text: &str) -> String {
    let mut lines = String::new();
    let mut width = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if width + 1 + length > 128 {
            lines.push('\n');
            width = 0;
        } else if width > 0 {
            lines.push(' ');
            width += 1;
        }
        lines.push_str(word);
        width += length;
    }
    lines
}

/// With commas between the thousands.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let comma = |(index, digit): (usize, char)| {
        let comma = (index > 0 && (digits.len() - index) % 3 == 0).then_some(',');
        comma.into_iter().chain(std::iter::once(digit))
    };
    digits.chars().enumerate().flat_map(comma).collect()
}

#[cfg(test)]
mod tests {
    use sluicegate_benches::machine::with_version;

    use super::{grouped, wrapped};

    #[test]
    fn breaks_lines_between_words() {
        let text = wrapped(&["word"; 60].join(" "));
        assert!(text.lines().all(|line| line.len() <= 128 && line.starts_with("word") && line.ends_with("word")));
        assert_eq!((text.lines().count(), text.replace('\n', " ")), (3, ["word"; 60].join(" ")));
    }

    #[test]
    fn groups_by_thousands() {
        assert_eq!([7, 123, 1_234, 1_234_567].map(grouped), ["7", "123", "1,234", "1,234,567"]);
    }
    #[test]
    fn every_name_has_a_version_but_that_of_the_standard_library() {
        for peer in crate::peers::PEERS {
            assert_eq!(with_version(peer.name).contains(' '), peer.name != "std_mutex", "{}", peer.name);
        }
    }
}
