//! The difference between two texts, in the unified format.

use similar::TextDiff;

/// Lines around a change.
const CONTEXT_LINES: usize = 3;

/// The difference of a document. `before` is `None` for a new document, and `after` for a deleted one.
pub fn unified(path: &str, before: Option<&str>, after: Option<&str>) -> String {
    let name = |side: &str, text: Option<&str>| match text {
        Some(_) => format!("{side}/{path}"),
        None => "/dev/null".to_owned(),
    };
    let diff = TextDiff::from_lines(before.unwrap_or_default(), after.unwrap_or_default());
    let shown = diff
        .unified_diff()
        .context_radius(CONTEXT_LINES)
        .header(&name("a", before), &name("b", after))
        .to_string();
    match shown.trim_end() {
        "" => format!("--- {}\n+++ {}", name("a", before), name("b", after)),
        shown => shown.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_names_the_document_and_its_changed_lines() {
        let shown = unified("SOUL.md", Some("be kind\nbe brief\n"), Some("be kind\nbe long\n"));
        assert_eq!(shown, "--- a/SOUL.md\n+++ b/SOUL.md\n@@ -1,2 +1,2 @@\n be kind\n-be brief\n+be long");
        assert!(unified("SOUL.md", None, Some("new\n")).starts_with("--- /dev/null\n+++ b/SOUL.md\n"));
        assert_eq!(unified("SOUL.md", Some(""), None), "--- a/SOUL.md\n+++ /dev/null");
    }
}
