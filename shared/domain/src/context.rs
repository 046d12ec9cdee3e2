//! The budget of conversation history in one response: whole entries, the newest first, up to a limit.

use crate::message::HistoryEntry;

/// Most bytes that all entries of one response may take. A function response is limited to 6 MB. The rest is
/// left for the payload, which a poll response contains twice (at most 1 MB), and for pending tool calls (0.7
/// MB).
pub const MAX_HISTORY_ANSWER_BYTES: u64 = 4 * 1024 * 1024;
/// Bytes of an entry besides its content: field names, role, time and punctuation.
const ENVELOPE_BYTES: u64 = 96;

/// The remaining budget. Entries are offered from the newest to the oldest. The newest entry is always
/// accepted, because an agent that lacks the last message is worse than a response over budget. After the
/// first entry that does not fit, all older entries are rejected, so that the history has no gap.
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
    /// Creates a budget of at most `max_entries` entries, about `max_tokens` tokens and `max_answer_bytes`
    /// bytes of a response.
    pub const fn new(max_entries: u64, max_tokens: u64, max_answer_bytes: u64) -> Self {
        Self {
            entries: max_entries,
            tokens: max_tokens,
            answer_bytes: max_answer_bytes,
            state: State::Untouched,
        }
    }

    /// The number of entries that may still be accepted.
    pub const fn entries_left(&self) -> u64 {
        match self.state {
            State::Spent => 0,
            State::Untouched | State::Begun => self.entries,
        }
    }

    /// Returns whether the next older entry is accepted. If not, all entries before it are rejected, too.
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

/// Four bytes per token plus four tokens per entry: a common estimate.
fn estimated_tokens(content: &str) -> u64 {
    content.len() as u64 / 4 + 4
}

/// The bytes that a text takes in a function response. The response is JSON inside JSON, so the characters
/// that the inner JSON escapes are escaped again by the outer JSON.
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
    fn the_newest_entry_is_always_accepted_and_the_first_that_does_not_fit_ends_the_history() {
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
