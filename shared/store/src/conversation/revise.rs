//! Revise: changes the content of a message that still waits.

use af_domain::attachment::Attachment;
use af_domain::conversation::Conversation;
use af_domain::ids::BotIdentity;
use af_domain::message::{Message, MessageStatus, Payload};
use af_domain::policy::Policies;

use super::item::change;
use crate::expression::Update;
use crate::item::Writer;
use crate::payload::encode;
use crate::write::Commit;
use crate::{Result, Store, attachment, keys, message};

impl Store {
    /// Replaces the payload of `old`, a message that waits, on condition that neither the conversation nor the attachments
    /// of the message have changed since they were read. `after` is the conversation with the revised message. `fetched_by`
    /// is the bot that must fetch the new attachments.
    pub async fn revise_if_waiting(
        &self,
        before: &Conversation,
        after: &Conversation,
        old: &Message,
        payload: &Payload,
        fetched_by: Option<&BotIdentity>,
        policies: &Policies,
    ) -> Result<Commit> {
        let key = keys::message(&old.id);
        let encoded = encode(payload);
        let is_inline = message::is_inline(&encoded);
        let update = Update::of(key)
            .set_or_remove("fi", attachment::encode(&payload.attachments))
            .set_or_remove("fb", fetched_by.map(BotIdentity::as_str))
            .set_or_remove("pl", is_inline.then(|| encoded.value.clone()))
            .set_or_remove("pb", (!is_inline).then_some(encoded.json_bytes as u64))
            .when_is("st", MessageStatus::Queued.as_str());
        let update = unchanged_attachments(update, &old.payload.attachments);
        let mut transaction = self.transaction();
        transaction = transaction.update(change(before, after, policies.queue.ready_shards)).update(update);
        let separate = keys::message_payload(&old.id, &old.body_hash);
        if !is_inline {
            transaction = transaction.put(Writer::at(separate).put("pl", encoded.value).build());
        } else {
            // The old payload may be a separate item.
            transaction = transaction.delete(&separate);
        }
        self.commit_or_stale(transaction).await
    }
}

fn unchanged_attachments(update: Update, before: &[Attachment]) -> Update {
    match attachment::encode(before) {
        Some(before) => update.when("#fi = :before").bind(":before", before),
        None => update.when("attribute_not_exists(#fi)"),
    }
}
