//! Groups of Telegram: the conversation that a group goes on with after it became a supergroup, and what was said in it
//! that is not for the agent.

use af_domain::ids::{BotIdentity, ConversationId, ConversationKey};
use af_domain::time::{Millis, Timestamp};

use crate::expression::Update;
use crate::item::{Item, Reader};
use crate::write::Updated;
use crate::{Result, Store, keys};

/// Most lines that are kept. A full list loses its older half.
const MAX_LINES: usize = 20;
/// How long a line is context for later messages.
const LINES_KEPT: Millis = Millis::from_days(1);

/// What the table knows of a group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// The conversation with which the group goes on, if it is not its own.
    pub continues: Option<ConversationId>,
    /// What was said in the conversation since its last message, the oldest line first.
    pub lines: Vec<String>,
}

impl Store {
    /// Returns what the table knows of a chat, and the lines of the conversation `key`, in one consistent read.
    pub async fn group(
        &self,
        bot: &BotIdentity,
        chat: i64,
        key: &ConversationKey,
        now: Timestamp,
    ) -> Result<Group> {
        let (link, lines) = (keys::chat(bot, chat), keys::group_lines(key));
        let mut group = Group::default();
        for item in &self.batch_get([link.clone(), lines].into_iter(), true).await? {
            let reader = Reader::of(item);
            if reader.text("sk")? == link.sk {
                group.continues = Some(reader.id("cid", ConversationId::parse)?);
            } else {
                group.lines = lines_of(item, now)?;
            }
        }
        Ok(group)
    }

    /// Lets the chat go on with `conversation`, unless it goes on with one already.
    pub async fn continue_chat_if_new(
        &self,
        bot: &BotIdentity,
        chat: i64,
        conversation: &ConversationId,
    ) -> Result<bool> {
        let link = Update::of(keys::chat(bot, chat))
            .set("cid", conversation.as_str())
            .when("attribute_not_exists(#pk)");
        Ok(matches!(self.update(link).await?, Updated::Done(_)))
    }

    /// Adds a line to what was said in a conversation. A repetition adds it again.
    pub async fn add_line_unless_full(
        &self,
        key: &ConversationKey,
        line: &str,
        now: Timestamp,
    ) -> Result<()> {
        let of_lines = || Update::of(keys::group_lines(key)).set("ttl", (now + LINES_KEPT).as_ttl());
        let added = of_lines()
            .set_to("ln", "list_append(if_not_exists(#ln, :none), :line)")
            .bind(":none", Vec::<String>::new())
            .bind(":line", vec![line.to_owned()])
            .when("attribute_not_exists(#ln) OR (size(#ln) < :max AND #ttl > :now)")
            .bind(":max", MAX_LINES as u64)
            .bind(":now", now.as_secs());
        if let Updated::Refused(Some(full)) = self.update(added).await? {
            let before = Reader::of(&full).texts("ln")?.into_iter().map(str::to_owned).collect::<Vec<_>>();
            let mut lines = lines_of(&full, now)?;
            lines.drain(..lines.len().min(MAX_LINES / 2));
            lines.push(line.to_owned());
            // When another line was faster, this one is lost. It is context, not a message.
            self.update(of_lines().set("ln", lines).when_is("ln", before)).await?;
        }
        Ok(())
    }

    /// Removes the lines that a message has taken along, unless a line was added since they were read.
    pub async fn clear_lines_if_unchanged(&self, key: &ConversationKey, lines: &[String]) -> Result<()> {
        let taken =
            Update::of(keys::group_lines(key)).remove("ln").remove("ttl").when_is("ln", lines.to_vec());
        self.update(taken).await.map(drop)
    }
}

fn lines_of(item: &Item, now: Timestamp) -> Result<Vec<String>> {
    let reader = Reader::of(item);
    if reader.is_expired(now)? || !item.contains_key("ln") {
        return Ok(Vec::new());
    }
    Ok(reader.texts("ln")?.into_iter().map(str::to_owned).collect())
}
