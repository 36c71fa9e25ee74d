//! Writing results into a document that people write: only what stands between two marks is replaced.

use std::path::Path;

use crate::error::Error;

/// Replaces the part `name` of the file.
///
/// # Errors
/// Where the file cannot be read or written, or lacks the marks.
pub(crate) fn replace(path: &Path, name: &str, part: &str) -> Result<(), Error> {
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(Error::io(&shown))?;
    let replaced = replaced(&text, name, part).ok_or_else(|| {
        Error::Setting(format!("{shown} lacks the marks of {name}: {} … {}", begin(name), end(name)))
    })?;
    std::fs::write(path, replaced).map_err(Error::io(&shown))
}

fn begin(name: &str) -> String {
    format!("<!-- {name}:begin -->")
}

fn end(name: &str) -> String {
    format!("<!-- {name}:end -->")
}

fn replaced(text: &str, name: &str, part: &str) -> Option<String> {
    let (before, rest) = text.split_once(&begin(name))?;
    let (_, after) = rest.split_once(&end(name))?;
    Some(format!("{before}{}\n{}\n{}{after}", begin(name), part.trim_end(), end(name)))
}

#[cfg(test)]
mod tests {
    use super::replaced;

    #[test]
    fn only_what_stands_between_the_marks_is_replaced() {
        let text = "# A\n<!-- x:begin -->\nold\n<!-- x:end -->\nB\n<!-- y:begin --><!-- y:end -->\n";
        let once = replaced(text, "x", "new\n").unwrap();
        assert_eq!(once, "# A\n<!-- x:begin -->\nnew\n<!-- x:end -->\nB\n<!-- y:begin --><!-- y:end -->\n");
        assert_eq!(replaced(&once, "x", "new\n").unwrap(), once);
    }

    #[test]
    fn a_document_without_the_marks_is_left_alone() {
        assert_eq!(replaced("<!-- x:begin -->", "x", "new"), None);
    }
}
