//! Which policies may have been in force when something was decided: functions remember them for a while.

use serde_json::Value;

/// How long a function may go on with policies that were replaced, ms: it remembers them for ten seconds, has read
/// them from a replica that was behind, and its requests were held up and sent again.
const MAX_REMEMBERED_MS: u64 = 30_000;

/// Whether retries block, from when on.
#[derive(Default)]
pub struct Policies(Vec<(u64, bool)>);

impl Policies {
    /// The document changed, at `now` at the latest.
    pub fn changed(&mut self, now: u64, image: &Value) {
        let document: Value = serde_json::from_str(image["js"]["S"].as_str().unwrap()).unwrap();
        self.0.push((now, document["queue"]["onRetry"] != "overtake"));
    }

    /// Whether retries block at present.
    pub fn retries_block(&self) -> bool {
        self.0.last().is_none_or(|(_, block)| *block)
    }

    /// What whoever decided something at `at` may have believed: that retries block, or that they do not.
    pub fn believed_at(&self, at: u64) -> Vec<bool> {
        let replaced_at = |i: usize| self.0.get(i + 1).map_or(u64::MAX, |(at, _)| *at);
        let still_known = |i: &usize| replaced_at(*i).saturating_add(MAX_REMEMBERED_MS) >= at;
        let mut beliefs: Vec<bool> = (0..self.0.len()).filter(still_known).map(|i| self.0[i].1).collect();
        beliefs.dedup();
        beliefs
    }

    /// Whatever anybody believed so far.
    pub fn believed_ever(&self) -> Vec<bool> {
        self.believed_at(0)
    }
}
