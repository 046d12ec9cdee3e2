//! `watch`: the events of the conversation of a user with an agent.

use std::time::Duration;

use af_api::events::{EventBody, EventKind, EventList, EventsQuery};
use af_api::user_messages::WaitMs;
use af_domain::ids::{AgentKey, ConsumerUserId};
use clap::Args;

use crate::api::{Answer, Api, ApiError, segment};
use crate::output;

/// How long one call waits for an event.
const WAIT: u32 = 20_000;
/// The pause after a deployment that could not be reached.
const PAUSE: Duration = Duration::from_secs(2);
/// Most failures in a row before the command ends: the deployment restarts within this time.
const MAX_FAILURES: u32 = 15;

/// A conversation to watch.
#[derive(Debug, Args)]
pub struct Watch {
    /// The user
    user: ConsumerUserId,
    /// The agent
    agent: AgentKey,
    /// End when no message waits or runs any more
    #[arg(long)]
    until_quiet: bool,
}

impl Watch {
    /// Prints each event, in one line of JSON for `--json`, until Ctrl-C.
    pub async fn run(self, api: &Api) -> anyhow::Result<()> {
        let (user, agent) = (segment(self.user.as_str()), segment(self.agent.as_str()));
        let path = format!("/v1/users/{user}/agents/{agent}/events");
        let mut query = EventsQuery::default();
        let mut open = Open::default();
        let mut failures = 0;
        loop {
            let answer: Result<Answer<EventList>, ApiError> = api.find(&path, &query).await;
            let list = match answer {
                Ok(list) => list,
                Err(error @ ApiError::Refused { status: ..500, .. }) => return Err(error.into()),
                Err(error) => {
                    failures += 1;
                    if failures > MAX_FAILURES {
                        return Err(error.into());
                    }
                    output::warning(&format!("{error}; trying again"));
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            failures = 0;
            print(api, &list);
            list.body.items.iter().for_each(|event| open.note(event));
            if self.until_quiet && open.is_empty() {
                return Ok(());
            }
            let wait_ms = WaitMs::new(WAIT).unwrap_or_default();
            query = EventsQuery { after: Some(list.body.next_cursor), wait_ms };
        }
    }
}

/// The messages that wait or run.
#[derive(Debug, Default)]
struct Open(std::collections::BTreeSet<String>);

impl Open {
    fn note(&mut self, event: &EventBody) {
        let (Some(id), Some(status)) = (&event.message_id, event.status) else { return };
        if status.has_ended() {
            self.0.remove(id);
        } else {
            self.0.insert(id.clone());
        }
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn print(api: &Api, list: &Answer<EventList>) {
    if api.json {
        let items = list.json["items"].as_array();
        items.into_iter().flatten().for_each(|event| output::exact(&event.to_string()));
        return;
    }
    list.body.items.iter().for_each(|event| output::line(&line(event)));
}

/// One line for people.
fn line(event: &EventBody) -> String {
    let message = event.message_id.as_deref().unwrap_or("-");
    let what = match event.kind {
        EventKind::Status => status(event),
        EventKind::Draft => format!("draft: {}", event.text.as_deref().unwrap_or_default()),
        EventKind::Delivery => {
            let delivery = event.delivery.as_ref();
            let reason = delivery.and_then(|delivery| delivery.reason.as_deref());
            let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
            format!("delivery {}{reason}", delivery.map_or("", |delivery| delivery.state.as_str()))
        }
        EventKind::Resync => {
            "more has changed than can be shown; `queue list --conversation` shows the messages".to_owned()
        }
    };
    format!("{}  {message}  {what}", output::time(event.at))
}

fn status(event: &EventBody) -> String {
    let status = event.status.map_or("", |status| status.as_str());
    let attempt = event.attempts.filter(|attempts| *attempts > 1);
    let attempt = attempt.map(|attempt| format!(" (attempt {attempt})")).unwrap_or_default();
    let due = event.scheduled_for.map(|at| format!(", due at {}", output::time(at))).unwrap_or_default();
    let said = event.reply.as_deref().or(event.error.as_deref());
    let said = said.map(|said| format!(": {said}")).unwrap_or_default();
    format!("{status}{attempt}{due}{said}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(body: serde_json::Value) -> EventBody {
        serde_json::from_value(body).unwrap()
    }

    #[test]
    fn an_event_is_one_readable_line() {
        for (body, shown) in [
            (
                json!({"type": "status", "at": 1, "messageId": "m", "status": "queued", "attempts": 0}),
                "1970-01-01 00:00:00Z  m  queued",
            ),
            (
                json!({"type": "status", "at": 1, "messageId": "m", "status": "queued", "attempts": 2, "scheduledFor": 9000}),
                "1970-01-01 00:00:00Z  m  queued (attempt 2), due at 1970-01-01 00:00:09Z",
            ),
            (
                json!({"type": "status", "at": 1, "messageId": "m", "status": "done", "attempts": 1, "reply": "hi"}),
                "1970-01-01 00:00:00Z  m  done: hi",
            ),
            (
                json!({"type": "draft", "at": 1, "messageId": "m", "text": "It reads."}),
                "1970-01-01 00:00:00Z  m  draft: It reads.",
            ),
        ] {
            assert_eq!(line(&event(body)), shown);
        }
    }

    #[test]
    fn a_conversation_is_quiet_when_every_message_has_ended() {
        let mut open = Open::default();
        let status = |id: &str, status: &str| {
            event(json!({"type": "status", "at": 1, "messageId": id, "status": status, "attempts": 1}))
        };
        assert!(open.is_empty());
        for (id, state, quiet) in [("a", "queued", false), ("a", "processing", false), ("b", "queued", false)]
        {
            open.note(&status(id, state));
            assert_eq!(open.is_empty(), quiet);
        }
        open.note(&status("a", "done"));
        assert!(!open.is_empty());
        open.note(&status("b", "dead_letter"));
        assert!(open.is_empty());
    }
}
