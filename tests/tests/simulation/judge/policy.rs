//! The policies that a function may have used for a decision. Functions keep a copy of the policies for a while.

use serde_json::Value;

/// How long a function may use replaced policies, ms: it keeps its copy for ten seconds, it may have read them from a
/// replica that was behind, and its requests may be delayed and sent again.
pub const MAX_COPY_AGE_MS: u64 = 30_000;

/// Each change of the policy `onRetry`: its time, and whether retries block from then on.
#[derive(Default)]
pub struct Policies(Vec<(u64, bool)>);

impl Policies {
    /// Notes a change of the policy document, which happened at `now` or before.
    pub fn changed(&mut self, now: u64, image: &Value) {
        let document: Value = serde_json::from_str(image["js"]["S"].as_str().unwrap()).unwrap();
        self.0.push((now, document["queue"]["onRetry"] != "overtake"));
    }

    /// Whether retries block at present.
    pub fn retries_block(&self) -> bool {
        self.0.last().is_none_or(|(_, block)| *block)
    }

    /// The values of "retries block" that a function may have known at `at`.
    pub fn known_at(&self, at: u64) -> Vec<bool> {
        let replaced_at = |i: usize| self.0.get(i + 1).map_or(u64::MAX, |(at, _)| *at);
        let still_known = |i: &usize| replaced_at(*i).saturating_add(MAX_COPY_AGE_MS) >= at;
        let mut values: Vec<bool> = (0..self.0.len()).filter(still_known).map(|i| self.0[i].1).collect();
        values.dedup();
        values
    }

    /// All values of "retries block" that any function may have known so far.
    pub fn known_ever(&self) -> Vec<bool> {
        self.known_at(0)
    }
}
