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

/// A line that was said in a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupLine {
    /// The id of the Telegram message.
    pub message: i64,
    /// The text.
    pub text: String,
}

impl GroupLine {
    /// Encodes the line as one text: `message|text`.
    fn encoded(&self) -> String {
        format!("{}|{}", self.message, self.text)
    }
}

/// What the table knows of a group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// The conversation with which the group goes on, if it is not its own.
    pub continues: Option<ConversationId>,
    /// What was said in the conversation since its last message, the oldest line first.
    pub lines: Vec<GroupLine>,
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
    ) -> Result<()> {
        let link = Update::of(keys::chat(bot, chat))
            .set("cid", conversation.as_str())
            .when("attribute_not_exists(#pk)");
        self.update(link).await.map(drop)
    }

    /// Adds a line to what was said in a conversation. A message adds its line once.
    pub async fn add_line_if_new(
        &self,
        key: &ConversationKey,
        line: &GroupLine,
        now: Timestamp,
    ) -> Result<()> {
        let of_lines = || Update::of(keys::group_lines(key)).set("ttl", (now + LINES_KEPT).as_ttl());
        let encoded = line.encoded();
        let added = of_lines()
            .set_to("ln", "list_append(if_not_exists(#ln, :none), :lines)")
            .bind(":none", Vec::<String>::new())
            .bind(":lines", vec![encoded.clone()])
            .when("attribute_not_exists(#ln) OR (size(#ln) < :max AND #ttl > :now)")
            .when("NOT contains(#ln, :line)")
            .bind(":line", encoded.as_str())
            .bind(":max", MAX_LINES as u64)
            .bind(":now", now.as_secs());
        let Updated::Refused(Some(before)) = self.update(added).await? else { return Ok(()) };
        let mut lines = lines_of(&before, now)?;
        if lines.contains(line) {
            return Ok(());
        }
        lines.drain(..lines.len().min(MAX_LINES / 2));
        lines.push(line.clone());
        // When another line was faster, this one is lost. It is context, not a message.
        let before = Reader::of(&before).texts("ln")?.into_iter().map(str::to_owned).collect::<Vec<_>>();
        self.update(
            of_lines().set("ln", encoded_lines(&lines)).when("#ln = :before").bind(":before", before),
        )
        .await?;
        Ok(())
    }

    /// Removes the lines that a message has taken along, unless a line was added since they were read.
    pub async fn clear_lines_if_unchanged(&self, key: &ConversationKey, lines: &[GroupLine]) -> Result<()> {
        let taken = Update::of(keys::group_lines(key))
            .remove("ln")
            .remove("ttl")
            .when("#ln = :lines")
            .bind(":lines", encoded_lines(lines));
        self.update(taken).await.map(drop)
    }
}

fn encoded_lines(lines: &[GroupLine]) -> Vec<String> {
    lines.iter().map(GroupLine::encoded).collect()
}

fn lines_of(item: &Item, now: Timestamp) -> Result<Vec<GroupLine>> {
    let reader = Reader::of(item);
    if reader.is_expired(now)? || !item.contains_key("ln") {
        return Ok(Vec::new());
    }
    let line = |encoded: &str| {
        let parts = encoded.split_once('|').and_then(|(message, text)| {
            Some(GroupLine { message: message.parse().ok()?, text: text.to_owned() })
        });
        parts.ok_or_else(|| reader.malformed("ln", "not a line"))
    };
    reader.texts("ln")?.into_iter().map(line).collect()
}
