//! Where in a conversation's history goes what a published image says of its message.
//!
//! Such an image appends without counting, so it may say the same again: its call was answered too late, or it was handed
//! its message a second time under the same lease and began anew. (A retry under another lease replaces what the one
//! before wrote by itself, as any.)

use crate::message::{HistoryEntry, Role};

/// How the path of a link to a file begins.
const FILES: &str = "/f/";

/// What becomes of what is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It stands there already.
    Known,
    /// It goes to this place, and what stands from there on goes.
    From(usize),
}

/// Where `said` goes, when `written` stands under the lease. Times do not count: a repetition may have another.
pub fn place(written: &[HistoryEntry], said: &[HistoryEntry]) -> Place {
    let same = |(a, b): (&HistoryEntry, &HistoryEntry)| a.role == b.role && a.content == b.content;
    let end = written.len().saturating_sub(said.len());
    if written[end..].len() == said.len() && written[end..].iter().zip(said).all(same) {
        return Place::Known;
    }
    // What the person said begins the message: who says it again begins again.
    let question = said.first().filter(|first| first.role == Role::User);
    let again = question.and_then(|question| {
        let asked = without_links(&question.content);
        written.iter().position(|e| e.role == question.role && without_links(&e.content) == asked)
    });
    Place::From(again.unwrap_or(written.len()))
}

/// A text without what tells one of our links to a file from another: whoever begins again uploads again.
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

    fn placed(written: &[(Role, &str)], said: &[(Role, &str)]) -> Place {
        place(&entries(written, 1), &entries(said, 2))
    }

    use Role::{Assistant, Tool, User};

    #[test]
    fn what_is_new_follows_what_stands() {
        assert_eq!(placed(&[], &[(User, "hi"), (Assistant, "hello")]), Place::From(0));
        assert_eq!(placed(&[(User, "hi")], &[(Assistant, "hello")]), Place::From(1));
        assert_eq!(placed(&[(User, "hi"), (Tool, "a")], &[(Tool, "b"), (Tool, "a")]), Place::From(2));
    }

    #[test]
    fn what_was_said_before_is_known() {
        let both = [(User, "hi"), (Assistant, "hello")];
        assert_eq!(placed(&both, &both), Place::Known);
        assert_eq!(placed(&both, &both[1..]), Place::Known);
        assert_eq!(placed(&both, &[]), Place::Known);
    }

    #[test]
    fn a_message_that_is_begun_again_replaces_what_stands_from_there_on() {
        let first = [(Tool, "before"), (User, "hi"), (Tool, "a"), (Assistant, "hello")];
        assert_eq!(placed(&first, &[(User, "hi"), (Assistant, "good day")]), Place::From(1));
        assert_eq!(placed(&first, &[(User, "hi")]), Place::From(1));
        assert_eq!(
            placed(&first, &[(Tool, "a"), (Tool, "a")]),
            Place::From(4),
            "only the question begins it"
        );
    }

    #[test]
    fn a_question_with_another_link_to_its_file_is_the_same_question() {
        let first = [(User, "look\n- https://a/f/eyJ.x_1\n- https://a/f/2"), (Assistant, "nice")];
        let again = "look\n- https://a/f/eyJ.y-2\n- https://a/f/3";
        assert_eq!(placed(&first, &[(User, again), (Assistant, "fine")]), Place::From(0));
        assert_eq!(placed(&first, &[(User, "look\n- https://a/f/1"), (Assistant, "fine")]), Place::From(2));
    }
}
