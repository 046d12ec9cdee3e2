//! `outbox`: lists what waits for its delivery to Telegram, sends a reply again, and removes what blocks a chat.

use af_api::messages::DeliveryPart;
use af_api::outbox::{DropAnswer, OutboxBody, OutboxItem, ResendAnswer};
use af_api::pages::{Limit, Page, PageQuery};
use af_domain::outbox::Chat;
use clap::Subcommand;
use serde_json::json;

use crate::api::{Answer, Api, segment};
use crate::output;

/// Outboxes.
#[derive(Debug, Subcommand)]
pub enum Outbox {
    /// List the chats for which messages wait, and the messages in the order in which they are sent
    ///
    /// Example: agent-factory outbox list --limit 20
    #[command(verbatim_doc_comment)]
    List {
        /// Most chats on the page, 1 to 200
        #[arg(long, default_value_t)]
        limit: Limit,
        /// Where the previous page ended
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Send the whole reply of a message again; the person may then have parts of it twice
    ///
    /// Example: agent-factory outbox resend 01K8ZD3V7Q2M4N6P8R0T2W4Y6A
    #[command(verbatim_doc_comment)]
    Resend {
        /// The id of the message
        message: String,
    },
    /// Remove the first message from the outbox of a chat; a reply stays readable with its message
    ///
    /// Example: agent-factory outbox drop 7000000001:42 --yes
    #[command(verbatim_doc_comment)]
    Drop {
        /// The chat, as botIdentity:chatId
        chat: Chat,
    },
}

impl Outbox {
    pub async fn run(self, api: &Api) -> anyhow::Result<()> {
        match self {
            Outbox::List { limit, cursor } => {
                let listed: Answer<Page<OutboxBody>> =
                    api.find("/v1/outbox", &PageQuery { limit, cursor }).await?;
                listed.print(list);
            }
            Outbox::Resend { message } => {
                let path = format!("/v1/messages/{}/resend", segment(&message));
                let resent: Answer<ResendAnswer> = api.post(&path, &json!({})).await?;
                resent.print(|resent| {
                    output::line(&format!("the reply of {message} waits for chat {}", resent.chat));
                });
            }
            Outbox::Drop { chat } => {
                api.confirm(&format!("the first message in the outbox of chat {chat}"))?;
                let path = format!("/v1/outbox/{}", segment(&chat.to_string()));
                let dropped: Answer<DropAnswer> = api.delete_for(&path).await?;
                dropped.print(drop);
            }
        }
        Ok(())
    }
}

fn list(Page { items, next_cursor }: Page<OutboxBody>) {
    let items: Vec<_> = items.into_iter().flat_map(rows).collect();
    let headings = ["chat", "state", "until", "message", "user", "queued at", "parts"];
    output::page(&headings, Page::new(items, next_cursor), |row| row);
}

/// The rows of one outbox. Only the first message has a state of its own; the others wait behind it.
fn rows(outbox: OutboxBody) -> Vec<Vec<String>> {
    let first = match (outbox.sending_until, outbox.waits_until) {
        (Some(until), _) => ("sending", Some(until)),
        (None, Some(until)) => ("waiting", Some(until)),
        (None, None) => ("due", None),
    };
    let states = std::iter::once(first).chain(std::iter::repeat(("behind", None)));
    let row = |(item, (state, until)): (OutboxItem, (&str, Option<u64>))| {
        vec![
            outbox.chat.clone(),
            state.to_owned(),
            output::or_dash(until.map(output::time)),
            item.message_id.unwrap_or_else(|| "(notice)".to_owned()),
            output::or_dash(item.consumer_user_id),
            output::time(item.queued_at),
            parts(&item.parts),
        ]
    };
    outbox.items.into_iter().zip(states).map(row).collect()
}

fn drop(dropped: DropAnswer) {
    let what = match dropped.message_id {
        Some(message) => format!("the reply of {message}"),
        None => "a notice".to_owned(),
    };
    let sent = dropped.parts.iter().filter(|part| part.state == "sent").count();
    output::line(&format!("{what} is removed from the outbox of {}; parts sent: {sent}", dropped.chat));
}

/// The states of the parts, with the ids of those that were sent; a dash if none was tried.
pub(super) fn parts(parts: &[DeliveryPart]) -> String {
    let shown = parts.iter().map(|part| match part.message_id {
        Some(id) => format!("{} {id}", part.state),
        None => part.state.clone(),
    });
    let shown: Vec<_> = shown.collect();
    if shown.is_empty() { "-".to_owned() } else { shown.join(", ") }
}

#[cfg(test)]
mod tests {
    use af_api::messages::DeliveryPart;
    use af_api::outbox::{OutboxBody, OutboxItem};

    use super::{parts, rows};

    fn item(message: Option<&str>) -> OutboxItem {
        OutboxItem {
            message_id: message.map(str::to_owned),
            notice: message.is_none().then(|| "hello".to_owned()),
            consumer_user_id: Some("ann".to_owned()),
            queued_at: 5,
            parts: Vec::new(),
        }
    }

    #[test]
    fn the_first_message_of_an_outbox_has_its_state_and_the_others_wait_behind_it() {
        let outbox = |sending_until, waits_until| OutboxBody {
            chat: "7:-100".to_owned(),
            waits_until,
            sending_until,
            items: vec![item(Some("m")), item(None)],
        };
        let states = |outbox| rows(outbox).into_iter().map(|row| row[1..4].join(" ")).collect::<Vec<_>>();
        assert_eq!(states(outbox(None, Some(9))), ["waiting 1970-01-01 00:00:00Z m", "behind - (notice)"]);
        assert_eq!(
            states(outbox(Some(8_000), None)),
            ["sending 1970-01-01 00:00:08Z m", "behind - (notice)"]
        );
        assert_eq!(states(outbox(None, None)), ["due - m", "behind - (notice)"]);
    }

    #[test]
    fn parts_are_shown_with_their_states_and_ids() {
        let part = |state: &str, message_id| DeliveryPart { state: state.to_owned(), message_id };
        assert_eq!(parts(&[]), "-");
        assert_eq!(parts(&[part("sent", Some(12)), part("uncertain", None)]), "sent 12, uncertain");
    }
}
