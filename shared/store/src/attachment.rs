//! Attachments of a message. They are stored in the message's item as JSON from its acceptance on. While some
//! are pending, `fb` names the bot that must fetch them.

use std::collections::BTreeMap;

use af_domain::attachment::{Attachment, AttachmentKind, AttachmentState};
use af_domain::conversation::Conversation;
use af_domain::ids::{ContentType, MessageId, StorageId};
use af_domain::policy::Policies;
use af_domain::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::conversation::change;
use crate::expression::Update;
use crate::item::Reader;
use crate::keys::ONLY;
use crate::outbox::NewEntry;
use crate::{Result, Store, StoreError, keys};

/// The result of storing fetched attachments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttachmentsStored {
    /// The attachments were written.
    Done,
    /// No attachment is pending any more, or the message is gone; nothing was written.
    NotPending,
    /// The attachments of the message have changed since they were read; nothing was written.
    Changed,
    /// The conversation has changed since it was read; nothing was written.
    Stale,
}

/// An attachment as it is stored.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredAttachment {
    kind: String,
    file_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mime_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size_bytes: Option<u64>,
    #[serde(flatten)]
    state: StoredState,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "camelCase", rename_all_fields = "camelCase")]
enum StoredState {
    Pending,
    Ready { storage_id: String, expires_at: u64 },
    Failed { reason: String },
}

impl From<&Attachment> for StoredAttachment {
    fn from(attachment: &Attachment) -> Self {
        Self {
            kind: attachment.kind.as_str().to_owned(),
            file_id: attachment.telegram_file_id.clone(),
            file_name: attachment.file_name.clone(),
            mime_type: attachment.content_type.as_ref().map(ToString::to_string),
            size_bytes: attachment.size_bytes,
            state: match &attachment.state {
                AttachmentState::Pending => StoredState::Pending,
                AttachmentState::Ready { storage, expires_at } => {
                    StoredState::Ready { storage_id: storage.to_string(), expires_at: expires_at.as_millis() }
                }
                AttachmentState::Failed { reason } => StoredState::Failed { reason: reason.clone() },
            },
        }
    }
}

impl StoredAttachment {
    fn read(self) -> Option<Attachment> {
        Some(Attachment {
            kind: AttachmentKind::parse(&self.kind)?,
            telegram_file_id: self.file_id,
            file_name: self.file_name,
            content_type: self.mime_type.and_then(|text| ContentType::parse(text).ok()),
            size_bytes: self.size_bytes,
            state: match self.state {
                StoredState::Pending => AttachmentState::Pending,
                StoredState::Ready { storage_id, expires_at } => AttachmentState::Ready {
                    storage: StorageId::parse(storage_id).ok()?,
                    expires_at: Timestamp::from_millis(expires_at),
                },
                StoredState::Failed { reason } => AttachmentState::Failed { reason },
            },
        })
    }
}

/// Returns the stored form; `None` for a message without attachments.
pub(crate) fn encode(attachments: &[Attachment]) -> Option<String> {
    let stored: Vec<_> = attachments.iter().map(StoredAttachment::from).collect();
    let json = || serde_json::to_string(&stored).expect("strings and numbers become JSON");
    (!stored.is_empty()).then(json)
}

pub(crate) fn decode(reader: &Reader<'_>) -> Result<Vec<Attachment>> {
    let Some(json) = reader.text_if("fi")? else { return Ok(Vec::new()) };
    let stored: Vec<serde_json::Value> =
        serde_json::from_str(json).map_err(|e| reader.malformed("fi", &e.to_string()))?;
    // An attachment that a newer version has written before a rollback must not hide the message and its
    // other attachments.
    let read = |value| serde_json::from_value::<StoredAttachment>(value).ok()?.read();
    Ok(stored.into_iter().filter_map(read).collect())
}

/// Returns the message of a stream record whose attachments must be fetched, if it is one.
pub fn to_be_fetched(image: Option<&BTreeMap<String, serde_json::Value>>) -> Result<Option<MessageId>> {
    let text = |name: &str| image?.get(name)?.get("S")?.as_str();
    let (Some(pk), Some(ONLY), Some(_)) = (text("pk"), text("sk"), text("fb")) else { return Ok(None) };
    let Some(id) = pk.strip_prefix("M#") else { return Ok(None) };
    let malformed = |_| StoreError::malformed(pk, "pk: not a message's".to_owned());
    MessageId::parse(id).map(Some).map_err(malformed)
}

/// The results for the attachments of a message.
#[derive(Debug, Clone, Copy)]
pub struct AttachmentResults<'a> {
    /// The attachments as they were read.
    pub before: &'a [Attachment],
    /// The attachments after all of them were fetched or have failed.
    pub after: &'a [Attachment],
    /// The notice about a file that was not fetched.
    pub notice: Option<&'a NewEntry>,
}

impl Store {
    /// Stores the attachments of a message after all of them were fetched or have failed. `waiting` is the conversation
    /// before and after, if the message waits for its attachments there. After this write the message may be claimed.
    pub async fn store_attachments_if_pending(
        &self,
        message: &MessageId,
        results: &AttachmentResults<'_>,
        waiting: Option<(&Conversation, &Conversation)>,
        policies: &Policies,
    ) -> Result<AttachmentsStored> {
        let settled = Update::of(keys::message(message))
            .set_or_remove("fi", encode(results.after))
            .remove("fb")
            .when("attribute_exists(#fb)")
            .when("#fi = :before")
            .bind(":before", encode(results.before).unwrap_or_default());
        let mut transaction = self.transaction().update(settled);
        if let Some((before, after)) = waiting {
            transaction = transaction.update(change(before, after, policies.queue.ready_shards));
        }
        let committed = self.commit_and_notify(transaction, results.notice).await?;
        Ok(if committed.is_done() {
            AttachmentsStored::Done
        } else if let Some(refused) = committed.failed_condition(0) {
            let is_pending = refused.old.as_ref().is_some_and(|old| old.contains_key("fb"));
            if is_pending { AttachmentsStored::Changed } else { AttachmentsStored::NotPending }
        } else {
            AttachmentsStored::Stale
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::Writer;

    fn attachment(state: AttachmentState) -> Attachment {
        Attachment {
            kind: AttachmentKind::Document,
            telegram_file_id: "BQAC".into(),
            file_name: Some("report.pdf".into()),
            content_type: Some(ContentType::parse("application/pdf").unwrap()),
            size_bytes: Some(7),
            state,
        }
    }

    #[test]
    fn attachments_survive_being_stored_in_every_state() {
        let storage = StorageId::parse("abcdefghijklmnopqrstuvwx23.01ARZ3NDEKTSV4RRFFQ69G5FAV").unwrap();
        let attachments = [
            attachment(AttachmentState::Pending),
            attachment(AttachmentState::Ready { storage, expires_at: Timestamp::from_millis(9) }),
            Attachment {
                file_name: None,
                content_type: None,
                size_bytes: None,
                ..attachment(AttachmentState::Failed { reason: "no".into() })
            },
        ];
        let item = Writer::default().put_some("fi", encode(&attachments)).build();
        assert_eq!(decode(&Reader::of(&item)).unwrap(), attachments);
        assert_eq!(encode(&[]), None);
        assert_eq!(decode(&Reader::of(&crate::item::Item::new())).unwrap(), []);
    }

    #[test]
    fn only_a_message_with_a_fetching_bot_has_attachments_to_fetch() {
        let image = |fields: &[(&str, &str)]| -> BTreeMap<String, serde_json::Value> {
            fields.iter().map(|(name, text)| ((*name).to_owned(), serde_json::json!({"S": text}))).collect()
        };
        let found = |fields| to_be_fetched(Some(&image(fields))).unwrap().map(|id| id.to_string());
        assert_eq!(found(&[("pk", "M#tg:7:1"), ("sk", "#"), ("fb", "7")]), Some("tg:7:1".to_owned()));
        assert_eq!(found(&[("pk", "M#tg:7:1"), ("sk", "#")]), None);
        assert_eq!(found(&[("pk", "C#x"), ("sk", "#"), ("fb", "7")]), None);
        assert_eq!(to_be_fetched(None).unwrap(), None);
    }
}
