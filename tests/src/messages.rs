//! Messages that tests enqueue.

use af_app::intake::enqueue::{Enqueue, Identity};
use af_domain::attachment::{Attachment, AttachmentKind, AttachmentState};
use af_domain::ids::{AgentKey, ConversationId};
use af_domain::message::Payload;

/// A message of a person in the app, with the default priority, due at once.
#[must_use]
pub fn hello(agent: AgentKey, conversation: ConversationId) -> Enqueue {
    Enqueue {
        identity: Identity::Fresh,
        conversation,
        agent,
        payload: Payload {
            provider: "app".into(),
            provider_user_id: "ann".into(),
            message_text: "hello".into(),
            ..Payload::default()
        },
        priority: None,
        scheduled_for: None,
        max_attempts: None,
    }
}

/// A photo whose fetch is pending.
#[must_use]
pub fn photo() -> Attachment {
    Attachment {
        kind: AttachmentKind::Photo,
        telegram_file_id: "photo".into(),
        file_name: None,
        content_type: None,
        size_bytes: None,
        state: AttachmentState::Pending,
    }
}
