//! The document into which what was printed is put, each figure between its marks.

use std::path::Path;
use std::{fs, io};

const END: &str = "<!-- end -->";

/// Its text.
#[derive(Debug)]
pub(crate) struct Document(String);

impl Document {
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        fs::read_to_string(path).map(Self)
    }

    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        fs::write(path, &self.0)
    }

    /// Puts `figure` between the marks of `name`, in place of what stands there.
    pub(crate) fn put(&mut self, name: &str, figure: &str) -> Result<(), String> {
        let mark = format!("<!-- figures: {name} -->\n");
        let missing = || format!("the document has no {}... {END}", mark.trim_end());
        let start = self.0.find(&mark).ok_or_else(missing)? + mark.len();
        let length = self.0[start..].find(END).ok_or_else(missing)?;
        self.0.replace_range(start..start + length, &format!("\n{}\n\n", figure.trim()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Document;

    #[test]
    fn a_figure_takes_the_place_of_the_one_before() {
        let text = "a\n<!-- figures: one -->\nold\n<!-- end -->\nb\n<!-- figures: two -->\n<!-- end -->\n";
        let mut document = Document(text.to_owned());
        for _ in 0..2 {
            document.put("one", "\nnew\n\n").unwrap();
        }
        document.put("two", "2").unwrap();
        let ones = "a\n<!-- figures: one -->\n\nnew\n\n<!-- end -->\nb\n";
        assert_eq!(document.0, format!("{ones}<!-- figures: two -->\n\n2\n\n<!-- end -->\n"));
    }

    #[test]
    fn a_document_without_the_marks_is_an_error() {
        let document = || Document("<!-- figures: one -->\n".to_owned());
        assert!(document().put("one", "").unwrap_err().contains("figures: one"));
        assert!(document().put("two", "").unwrap_err().contains("figures: two"));
    }
}
