//! The attempts of a message, as stored in its item.
//!
//! They form a ring of `ATTEMPTS_KEPT` texts. Attempt number n overwrites the slot (n − 1) mod
//! `ATTEMPTS_KEPT`, so that no read is needed when an attempt ends. The attempts of a retried dead letter are
//! counted from one again, so its ring is rotated: the next attempts overwrite the oldest slots.

use af_domain::attempt::{ATTEMPTS_KEPT, Attempt, AttemptEnd, EndedBy};
use af_domain::conversation::{FailedAttempt, Lease, Outcome};
use af_domain::ids::{Fence, ModelName, WorkerId};
use af_domain::time::Timestamp;
use af_domain::usage::Usage;

use crate::Result;
use crate::expression::Update;
use crate::item::Reader;

/// Most characters of an error in an attempt record. The last error of the message is kept with more
/// characters. All records must fit into the message's item together with payload and reply; otherwise the
/// message could neither be retried nor end.
const MAX_ERROR_CHARS: usize = 200;
/// Fields of a record, separated by `|`. The error is last, because only the error is free text.
const FIELDS: usize = 8;

/// Returns the record of the attempt under `lease` that ended with `back`.
pub(crate) fn failed_attempt(lease: &Lease, back: &FailedAttempt, now: Timestamp) -> Attempt {
    let end = match back.outcome {
        Outcome::Done => AttemptEnd::Done,
        Outcome::Requeued { .. } => AttemptEnd::Requeued,
        Outcome::DeadLettered => AttemptEnd::DeadLetter,
        Outcome::Cancelled => AttemptEnd::Cancelled,
    };
    Attempt {
        fence: lease.id.parts().fence,
        number: lease.entry.attempts,
        worker: lease.worker.clone(),
        claimed_at: lease.claimed_at,
        ended_at: now,
        end,
        ended_by: back.ended_by,
        error: Some(back.error.clone()),
        usage: back.usage.clone(),
    }
}

/// Adds `attempt` to the update of its message.
pub(crate) fn with_attempt(update: Update, attempt: &Attempt) -> Update {
    let place = (attempt.number.saturating_sub(1)) as usize % ATTEMPTS_KEPT;
    update.set_to(&format!("ats[{place}]"), ":attempt").bind(":attempt", encode(attempt))
}

/// Returns the rotated ring of a message whose attempts are counted from one again.
pub(crate) fn rotated(attempts: &[Attempt]) -> Vec<String> {
    let kept = &attempts[attempts.len().saturating_sub(ATTEMPTS_KEPT)..];
    let free = std::iter::repeat_n(String::new(), ATTEMPTS_KEPT - kept.len());
    free.chain(kept.iter().map(encode)).collect()
}

/// Reads the attempts of a message, the oldest first.
pub(crate) fn attempts_from(reader: &Reader<'_>) -> Result<Vec<Attempt>> {
    let texts = reader.texts("ats")?.into_iter().filter(|t| !t.is_empty());
    let read = |text| decode(text).ok_or_else(|| reader.malformed("ats", "not an attempt"));
    let mut attempts = texts.map(read).collect::<Result<Vec<_>, _>>()?;
    attempts.sort_by_key(|a| a.fence);
    Ok(attempts)
}

/// Encodes an attempt as one text: `fence|number|worker|claimedAt|endedAt|end|endedBy|error`. The usage follows `endedBy`
/// after a comma, if the worker has reported it.
fn encode(attempt: &Attempt) -> String {
    let error: String = attempt.error.iter().flat_map(|e| e.chars()).take(MAX_ERROR_CHARS).collect();
    format!(
        "{}|{}|{}|{}|{}|{}|{}{}|{error}",
        attempt.fence,
        attempt.number,
        attempt.worker,
        attempt.claimed_at,
        attempt.ended_at,
        attempt.end.as_str(),
        attempt.ended_by.as_str(),
        attempt.usage.as_ref().map(encode_usage).unwrap_or_default(),
    )
}

/// Encodes usage as `,input,output,cached,cost,turns,toolCalls,model,provider`. An unknown field is empty.
fn encode_usage(usage: &Usage) -> String {
    let number = |number: Option<u64>| number.map(|n| n.to_string()).unwrap_or_default();
    let name = |name: &Option<ModelName>| name.as_ref().map(ToString::to_string).unwrap_or_default();
    let Usage { input_tokens, output_tokens, .. } = usage;
    let numbers = [usage.cached_input_tokens, usage.cost_micros, usage.turns, usage.tool_calls];
    let numbers = numbers.map(number).join(",");
    format!(",{input_tokens},{output_tokens},{numbers},{},{}", name(&usage.model), name(&usage.provider))
}

fn decode_usage(text: &str) -> Option<Usage> {
    let mut fields = text.split(',');
    let mut next = || fields.next();
    Some(Usage {
        input_tokens: next()?.parse().ok()?,
        output_tokens: next()?.parse().ok()?,
        cached_input_tokens: next()?.parse().ok(),
        cost_micros: next()?.parse().ok(),
        turns: next()?.parse().ok(),
        tool_calls: next()?.parse().ok(),
        model: ModelName::parse(next()?).ok(),
        provider: ModelName::parse(next()?).ok(),
    })
}

pub(crate) fn decode(text: &str) -> Option<Attempt> {
    let fields: Vec<_> = text.splitn(FIELDS, '|').collect();
    let [fence, number, worker, claimed_at, ended_at, end, ended_by, error] = fields[..] else { return None };
    let (ended_by, usage) = match ended_by.split_once(',') {
        Some((ended_by, usage)) => (ended_by, decode_usage(usage)),
        None => (ended_by, None),
    };
    Some(Attempt {
        fence: Fence(fence.parse().ok()?),
        number: number.parse().ok()?,
        worker: WorkerId::parse(worker).ok()?,
        claimed_at: Timestamp::from_millis(claimed_at.parse().ok()?),
        ended_at: Timestamp::from_millis(ended_at.parse().ok()?),
        end: AttemptEnd::parse(end)?,
        ended_by: EndedBy::parse(ended_by)?,
        error: Some(error).filter(|e| !e.is_empty()).map(str::to_owned),
        usage,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(fence: u64) -> Attempt {
        Attempt {
            fence: Fence(fence),
            number: 3,
            worker: WorkerId::parse("w-1").unwrap(),
            claimed_at: Timestamp::from_millis(10),
            ended_at: Timestamp::from_millis(20),
            end: AttemptEnd::Requeued,
            ended_by: EndedBy::Worker,
            error: Some("a|b".to_owned()),
            usage: None,
        }
    }

    #[test]
    fn an_attempt_keeps_the_usage_that_its_worker_reported() {
        let few = Usage { input_tokens: 120, output_tokens: 7, ..Usage::default() };
        let all = Usage {
            model: Some(ModelName::parse("openai/gpt-5:free").unwrap()),
            provider: Some(ModelName::parse("openrouter").unwrap()),
            cached_input_tokens: Some(64),
            cost_micros: Some(0),
            turns: Some(3),
            tool_calls: Some(2),
            ..few.clone()
        };
        for usage in [few, all] {
            let attempt = Attempt { usage: Some(usage), ..attempt(7) };
            assert_eq!(decode(&encode(&attempt)), Some(attempt));
        }
    }

    #[test]
    fn an_attempt_survives_being_stored_with_a_truncated_error() {
        let bare = Attempt { error: None, ..attempt(7) };
        for attempt in [attempt(7), bare] {
            assert_eq!(decode(&encode(&attempt)), Some(attempt));
        }
        let long = Attempt { error: Some("🦀".repeat(MAX_ERROR_CHARS + 1)), ..attempt(7) };
        let read = decode(&encode(&long)).unwrap();
        assert_eq!(read.error.unwrap().chars().count(), MAX_ERROR_CHARS);
        assert_eq!(decode("7|3|w-1"), None);
    }

    #[test]
    fn a_rotated_ring_is_full_and_its_oldest_attempts_are_first() {
        let few: Vec<_> = (1..=3).map(attempt).collect();
        let ring = rotated(&few);
        assert_eq!(ring.len(), ATTEMPTS_KEPT);
        assert_eq!(ring.iter().position(|t| !t.is_empty()), Some(ATTEMPTS_KEPT - 3));
        let many: Vec<_> = (1..=ATTEMPTS_KEPT as u64 + 5).map(attempt).collect();
        assert!(rotated(&many)[0].starts_with("6|"));
    }
}
