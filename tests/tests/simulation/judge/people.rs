//! A person's text is run once, in its newest form. No message is claimed after its chat has stopped the agent. A draft is
//! shown in the chat of its user only, and not after the end of its message.

use std::collections::BTreeMap;

use af_app::telegram::drafts::draft_id;
use af_domain::ids::MessageId;

use super::{Check, Judge};
use crate::answers::{Delivered, Stopped};
use crate::people::edit_of;
use crate::queue::Message;
use crate::tally::Event;
use crate::telegram::{Draft, progress_of};
use crate::world::{CHECK_INTERVAL, World};

/// How long before its call a function may have read the message of a draft, ms.
const READ_BEFORE_MS: u64 = 5_000;

/// The messages that people have sent, and the drafts that they have seen.
#[derive(Default)]
pub struct People {
    /// The edits of a message: the number of the edit, and the time of the answer, ms.
    edits: BTreeMap<String, Vec<(u64, u64)>>,
    stopped: Vec<Stopped>,
    /// The message that was run with a text, by user and text.
    texts: BTreeMap<(String, String), String>,
    /// The messages by the id of their drafts.
    drafts: BTreeMap<i64, String>,
    /// When a message has ended, ms.
    ended: BTreeMap<String, u64>,
}

impl Judge {
    /// Notes the answers to updates since the last call.
    pub(super) fn updates(&mut self, world: &World) -> Check {
        let answers = std::mem::take(&mut *world.answers.people.lock().unwrap());
        for (message, edit, answered) in answers.edited {
            self.people.edits.entry(message).or_default().push((edit, answered));
        }
        for (message, files) in answers.albums {
            let stored = self.messages[&message].files;
            if stored < files {
                return Err(format!(
                    "{files} files of the album {message} were accepted, but it has {stored}"
                ));
            }
        }
        self.people.stopped.extend(answers.stopped);
        Ok(())
    }

    /// The worker got the newest text of a person, and no other message has this text.
    pub(super) fn text(&mut self, delivered: &Delivered) -> Check {
        let Some(text) = &delivered.text else { return Ok(()) };
        let Some((_, edit)) = edit_of(text) else { return Ok(()) };
        let id = &delivered.message;
        let edits = self.people.edits.get(id).map(Vec::as_slice).unwrap_or_default();
        if let Some(newer) =
            edits.iter().find(|(newer, answered)| *newer > edit && *answered < delivered.asked)
        {
            return Err(format!("{id} runs with {text}, but its edit {newer:?} was accepted before"));
        }
        let key = (delivered.user.clone(), text.clone());
        match self.people.texts.entry(key).or_insert_with(|| id.clone()) {
            known if known == id => Ok(()),
            known => Err(format!("{id} and {known} both run {text}")),
        }
    }

    /// A message is not claimed if it was accepted before its chat stopped the agent.
    pub(super) fn claim_after_stop(&self, world: &World, partition: &str, message: &str) -> Check {
        let of_partition = |(_, id): &&(_, _)| format!("C#{}", af_store::conversation_key(id)) == partition;
        let Some((user, _)) = world.conversations.iter().find(of_partition) else { return Ok(()) };
        let interval = u64::try_from(CHECK_INTERVAL.as_millis()).unwrap();
        let is_stopped = |stopped: &&Stopped| {
            stopped.answered + interval < self.now
                && stopped.accepted.contains(message)
                && !self.retried.contains(message)
                && self.destinations.was_chat_of(
                    &stopped.chat,
                    user.as_str(),
                    stopped.asked,
                    stopped.answered,
                )
        };
        match self.people.stopped.iter().find(is_stopped) {
            None => Ok(()),
            Some(stopped) => Err(format!("{message} was claimed after {stopped:?}")),
        }
    }

    pub(super) fn note_ended(&mut self, id: &str, message: &Message) {
        self.people.drafts.insert(draft_id(&MessageId::parse(id).unwrap()), id.to_owned());
        if message.status == "queued" {
            self.people.ended.remove(id);
        } else {
            self.people.ended.entry(id.to_owned()).or_insert(self.now);
        }
    }

    /// Checks a draft that a chat has shown.
    pub(super) fn draft(&self, world: &World, draft: &Draft) -> Check {
        let Some(message) = self.people.drafts.get(&draft.id) else {
            return Err(format!("a draft of an unknown message was shown: {draft:?}"));
        };
        if !draft.text.is_empty() {
            self.count(Event::ProgressShown);
            if draft.text != progress_of(message) {
                return Err(format!("{message} has the draft of another message: {draft:?}"));
            }
        }
        if self.people.ended.get(message).is_some_and(|ended| ended + READ_BEFORE_MS < draft.sent) {
            return Err(format!("a draft of {message} was shown after the message had ended: {draft:?}"));
        }
        self.is_for_its_user(world, message, &draft.chat, draft.sent, draft.at)
    }
}
