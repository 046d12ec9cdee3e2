//! How much of a conversation's history goes into one answer: whole entries, newest first, until a limit is reached.

use crate::message::HistoryEntry;

/// Bytes that all entries of one answer may take. A function's answer may have 6 MB; 4 MB leave room for the payload,
/// which an answer to a poll holds twice (at most 1 MB), and for pending tool calls (0.7 MB).
pub const MAX_HISTORY_ANSWER_BYTES: u64 = 4 * 1024 * 1024;
/// What an entry takes in an answer besides its content: names, role, time and punctuation.
const ENVELOPE_BYTES: u64 = 96;

/// What may still be taken, newest entries first. The newest entry is always taken: an agent without the last thing
/// said is worse than one over budget. Where the first entry does not fit, everything older stays out as well, so
/// that no gap is left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextBudget {
    entries: u64,
    tokens: u64,
    answer_bytes: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Untouched,
    Begun,
    Spent,
}

impl ContextBudget {
    /// At most `max_entries` entries of about `max_tokens` tokens together, which take `max_answer_bytes` bytes of an
    /// answer.
    pub const fn new(max_entries: u64, max_tokens: u64, max_answer_bytes: u64) -> Self {
        Self {
            entries: max_entries,
            tokens: max_tokens,
            answer_bytes: max_answer_bytes,
            state: State::Untouched,
        }
    }

    /// How many entries may still come.
    pub const fn entries_left(&self) -> u64 {
        match self.state {
            State::Spent => 0,
            State::Untouched | State::Begun => self.entries,
        }
    }

    /// Takes the next older entry, or says that it and all before it stay out.
    pub fn admits(&mut self, entry: &HistoryEntry) -> bool {
        let tokens = estimated_tokens(&entry.content);
        let bytes = answer_bytes(&entry.content) + ENVELOPE_BYTES;
        let fits = self.entries > 0 && tokens <= self.tokens && bytes <= self.answer_bytes;
        let admitted = match self.state {
            State::Untouched => true,
            State::Begun => fits,
            State::Spent => false,
        };
        self.entries = self.entries.saturating_sub(1);
        self.tokens = self.tokens.saturating_sub(tokens);
        self.answer_bytes = self.answer_bytes.saturating_sub(bytes);
        self.state = if admitted { State::Begun } else { State::Spent };
        admitted
    }
}

/// Four bytes a token, and four tokens for the envelope of an entry: the usual rule of thumb.
fn estimated_tokens(content: &str) -> u64 {
    content.len() as u64 / 4 + 4
}

/// Bytes that a text takes in a function's answer, which is JSON inside of JSON: what the inner escapes, the outer
/// escapes again.
pub fn answer_bytes(text: &str) -> u64 {
    let bytes = |byte: u8| match byte {
        // `\\\"` and `\\\\`
        b'"' | b'\\' => 4,
        // `\\n`
        b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 3,
        // `\\u0001`
        0..0x20 => 7,
        _ => 1,
    };
    text.bytes().map(bytes).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Role;
    use crate::time::Timestamp;

    fn admitted(budget: ContextBudget, contents: &[&str]) -> usize {
        let mut budget = budget;
        let entry = |content: &&str| HistoryEntry {
            role: Role::User,
            content: (*content).to_owned(),
            at: Timestamp::default(),
        };
        contents.iter().map(entry).filter(|entry| budget.admits(entry)).count()
    }

    const ALL: u64 = u64::MAX;

    #[test]
    fn history_is_cut_to_the_newest_whole_entries() {
        let forty = "x".repeat(40);
        let ten = [forty.as_str(); 10];
        assert_eq!(admitted(ContextBudget::new(3, 1_000, ALL), &ten), 3);
        assert_eq!(admitted(ContextBudget::new(64, 28, ALL), &ten), 2, "14 tokens each");
        assert_eq!(admitted(ContextBudget::new(64, 1_000, 300), &ten), 2, "136 bytes each");
    }

    #[test]
    fn the_newest_always_comes_and_then_nothing_that_does_not_fit() {
        let large = "x".repeat(4_000);
        assert_eq!(admitted(ContextBudget::new(64, 10, ALL), &[&large, "y"]), 1);
        assert_eq!(admitted(ContextBudget::new(64, 100, ALL), &["x", &large, "y"]), 1, "no gap is left");
    }

    #[test]
    fn a_spent_budget_has_no_entries_left() {
        let mut budget = ContextBudget::new(64, 10, ALL);
        let entry = HistoryEntry { role: Role::User, content: "x".repeat(400), at: Timestamp::default() };
        assert!(budget.admits(&entry) && budget.entries_left() == 63);
        assert!(!budget.admits(&entry) && budget.entries_left() == 0);
    }
}
