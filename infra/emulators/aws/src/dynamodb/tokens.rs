//! Idempotency of `TransactWriteItems`: the same client token with the same items writes once.
//!
//! Like the service, the engine stores a token for ten minutes, in virtual time. Tokens do not survive a restart,
//! because no client waits for its answer over a restart.

use std::collections::{HashMap, VecDeque};

use af_domain::time::{Millis, Timestamp};
use dynoxide::DynoxideError;
use serde_json::Value;

/// How long the service stores a token.
const TOKEN_WINDOW: Millis = Millis::from_secs(600);

/// The most stored tokens; the oldest one is removed first. A clock that does not advance expires no token. A retry
/// follows its first try within a few requests.
const MAX_TOKENS: usize = 4_096;

#[derive(Default)]
pub(super) struct Tokens {
    done: HashMap<String, Done>,
    in_order: VecDeque<String>,
}

/// A committed transaction.
struct Done {
    at: Timestamp,
    items: Value,
    response: Value,
}

impl Tokens {
    /// Runs the transaction `request`. If its token was committed before, it returns the stored outcome instead.
    pub(super) fn once(
        &mut self,
        now: Timestamp,
        request: Value,
        run: impl FnOnce(Value) -> Result<Value, DynoxideError>,
    ) -> Result<Value, DynoxideError> {
        let Some(token) = request["ClientRequestToken"].as_str().map(str::to_owned) else {
            return run(request);
        };
        self.forget_expired(now);
        let items = request["TransactItems"].clone();
        match self.done.get(&token) {
            Some(done) if done.items == items => Ok(done.response.clone()),
            Some(_) => Err(DynoxideError::IdempotentParameterMismatchException(
                "An error occurred (IdempotentParameterMismatchException)".to_owned(),
            )),
            None => {
                let response = run(request)?;
                // A replay writes nothing. The read of each item that the service bills for it is not counted.
                let mut replay = response.clone();
                if let Some(fields) = replay.as_object_mut() {
                    fields.remove("ConsumedCapacity");
                }
                self.in_order.push_back(token.clone());
                self.done.insert(token, Done { at: now, items, response: replay });
                Ok(response)
            }
        }
    }

    fn forget_expired(&mut self, now: Timestamp) {
        while let Some(oldest) = self.in_order.front() {
            let expired = self.done.get(oldest).is_none_or(|done| now.since(done.at) > TOKEN_WINDOW);
            if !expired && self.in_order.len() < MAX_TOKENS {
                break;
            }
            self.done.remove(oldest);
            self.in_order.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn request(token: &str, item: u32) -> Value {
        json!({"ClientRequestToken": token, "TransactItems": [{"item": item}]})
    }

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_millis(secs * 1_000)
    }

    #[test]
    fn a_token_runs_once_within_its_window() {
        let mut tokens = Tokens::default();
        let mut runs = 0;
        for secs in [0, 1, 600, 601] {
            tokens
                .once(at(secs), request("t", 1), |_| {
                    runs += 1;
                    Ok(json!({"ConsumedCapacity": []}))
                })
                .unwrap();
        }
        assert_eq!(runs, 2);
    }

    #[test]
    fn a_replay_consumes_no_writes() {
        let mut tokens = Tokens::default();
        tokens.once(at(0), request("t", 1), |_| Ok(json!({"ConsumedCapacity": [1]}))).unwrap();
        let replay = tokens.once(at(0), request("t", 1), |_| unreachable!("it is a replay")).unwrap();
        assert_eq!(replay, json!({}));
    }

    #[test]
    fn a_token_with_other_items_is_refused_and_a_failed_one_is_forgotten() {
        let mut tokens = Tokens::default();
        let failed =
            tokens.once(at(0), request("t", 1), |_| Err(DynoxideError::ValidationException("no".to_owned())));
        assert!(failed.is_err());
        tokens.once(at(0), request("t", 2), |_| Ok(json!({}))).unwrap();
        let other = tokens.once(at(0), request("t", 1), |_| unreachable!("the token exists already"));
        assert!(matches!(other, Err(DynoxideError::IdempotentParameterMismatchException(_))));
    }

    #[test]
    fn the_number_of_stored_tokens_is_bounded() {
        let mut tokens = Tokens::default();
        for n in 0..MAX_TOKENS + 10 {
            tokens.once(at(0), request(&n.to_string(), 1), |_| Ok(json!({}))).unwrap();
        }
        assert!(tokens.done.len() <= MAX_TOKENS && tokens.in_order.len() <= MAX_TOKENS);
    }
}
