//! How the history entries of a published image are appended.
//!
//! A published image appends entries without positions, so it may append the same entries twice: its call
//! timed out, or it received its message a second time under the same lease and started again. (A retry under
//! another lease replaces the entries of the previous lease anyway.)

use crate::message::{HistoryEntry, Role};

/// The path prefix of a file link.
const FILES: &str = "/f/";

/// How new entries are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendPlan {
    /// The entries are already written.
    AlreadyWritten,
    /// The entries are written at this index, and all entries from there on are replaced.
    ReplaceFrom(usize),
}

/// Returns how `said` is written if the lease already has the entries `written`. Times are not compared,
/// because a repetition may have other times.
pub fn plan_append(written: &[HistoryEntry], said: &[HistoryEntry]) -> AppendPlan {
    let same = |(a, b): (&HistoryEntry, &HistoryEntry)| a.role == b.role && a.content == b.content;
    let end = written.len().saturating_sub(said.len());
    if written[end..].len() == said.len() && written[end..].iter().zip(said).all(same) {
        return AppendPlan::AlreadyWritten;
    }
    // The user's text is the first entry of a message. If it appears again, the worker has started again.
    let question = said.first().filter(|first| first.role == Role::User);
    let again = question.and_then(|question| {
        let asked = without_links(&question.content);
        written.iter().position(|e| e.role == question.role && without_links(&e.content) == asked)
    });
    AppendPlan::ReplaceFrom(again.unwrap_or(written.len()))
}

/// Returns the text without the tokens of file links. A worker that starts again uploads its files again.
fn without_links(text: &str) -> String {
    let is_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let mut parts = text.split(FILES);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + FILES + part.trim_start_matches(is_token))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    fn entries(texts: &[(Role, &str)], at: u64) -> Vec<HistoryEntry> {
        let entry = |(role, text): &(Role, &str)| HistoryEntry {
            role: *role,
            content: (*text).to_owned(),
            at: Timestamp::from_millis(at),
        };
        texts.iter().map(entry).collect()
    }

    fn placed(written: &[(Role, &str)], said: &[(Role, &str)]) -> AppendPlan {
        plan_append(&entries(written, 1), &entries(said, 2))
    }

    use Role::{Assistant, Tool, User};

    #[test]
    fn new_entries_follow_the_written_ones() {
        assert_eq!(placed(&[], &[(User, "hi"), (Assistant, "hello")]), AppendPlan::ReplaceFrom(0));
        assert_eq!(placed(&[(User, "hi")], &[(Assistant, "hello")]), AppendPlan::ReplaceFrom(1));
        assert_eq!(
            placed(&[(User, "hi"), (Tool, "a")], &[(Tool, "b"), (Tool, "a")]),
            AppendPlan::ReplaceFrom(2)
        );
    }

    #[test]
    fn repeated_entries_are_recognised() {
        let both = [(User, "hi"), (Assistant, "hello")];
        assert_eq!(placed(&both, &both), AppendPlan::AlreadyWritten);
        assert_eq!(placed(&both, &both[1..]), AppendPlan::AlreadyWritten);
        assert_eq!(placed(&both, &[]), AppendPlan::AlreadyWritten);
    }

    #[test]
    fn a_message_that_starts_again_replaces_its_earlier_entries() {
        let first = [(Tool, "before"), (User, "hi"), (Tool, "a"), (Assistant, "hello")];
        assert_eq!(placed(&first, &[(User, "hi"), (Assistant, "good day")]), AppendPlan::ReplaceFrom(1));
        assert_eq!(placed(&first, &[(User, "hi")]), AppendPlan::ReplaceFrom(1));
        assert_eq!(
            placed(&first, &[(Tool, "a"), (Tool, "a")]),
            AppendPlan::ReplaceFrom(4),
            "only the user's text marks a new start"
        );
    }

    #[test]
    fn a_question_with_another_link_to_its_file_is_the_same_question() {
        let first = [(User, "look\n- https://a/f/eyJ.x_1\n- https://a/f/2"), (Assistant, "nice")];
        let again = "look\n- https://a/f/eyJ.y-2\n- https://a/f/3";
        assert_eq!(placed(&first, &[(User, again), (Assistant, "fine")]), AppendPlan::ReplaceFrom(0));
        assert_eq!(
            placed(&first, &[(User, "look\n- https://a/f/1"), (Assistant, "fine")]),
            AppendPlan::ReplaceFrom(2)
        );
    }
}
