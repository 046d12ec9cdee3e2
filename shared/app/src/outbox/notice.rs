//! Notices: short messages of the system to a person.

use af_domain::ids::{AgentKey, ConsumerUserId};
use af_domain::notice::{NoticeKind, NoticeTexts};
use af_domain::outbox::{Chat, Content, Entry};
use af_domain::time::Millis;
use af_store::outbox::NewEntry;

use crate::agents::profiles;
use crate::{App, Result};

/// Most characters of a notice. It is stored in the outbox itself.
const MAX_CHARS: usize = 1_000;

/// How long Telegram may send an update again.
const REPEATED_FOR: Millis = Millis::from_days(1);

/// A notice for the outbox of `chat`, which is written in the transaction of its cause. Effects sends it at once. With
/// `user`, it is sent only while the chat is that of the user.
pub fn notice(
    app: &App,
    chat: Chat,
    topic: Option<i64>,
    user: Option<ConsumerUserId>,
    text: &str,
) -> NewEntry {
    let now = app.now();
    let entry = Entry {
        id: app.entropy.ulid(now),
        content: Content::Notice(text.chars().take(MAX_CHARS).collect()),
        user,
        topic,
        moved_to: None,
        queued_at: now,
        waits: 0,
        parts: Vec::new(),
    };
    NewEntry { chat, entry, due_at: now }
}

/// The text for an occasion, with the name of `agent` where the text contains it; `None` if no notice is sent.
pub(crate) async fn text_of(
    app: &App,
    texts: &NoticeTexts,
    kind: NoticeKind,
    agent: &AgentKey,
) -> Result<Option<String>> {
    let profile = if texts.names_agent(kind) { profiles::known(app, agent).await? } else { None };
    Ok(texts.text(kind, profile.and_then(|profile| profile.display_name).as_deref()))
}

/// Answers an update with a notice: once, also when Telegram sends the update again. Without room in the outbox, and without
/// a notice, the person gets no answer.
pub(crate) async fn answer(app: &App, notice: Option<&NewEntry>, update: u64) -> Result<()> {
    let Some(notice) = notice else { return Ok(()) };
    let kind = format!("update {update}");
    app.store.notify_if_not_lately(notice, &kind, REPEATED_FOR, app.now()).await?;
    Ok(())
}
