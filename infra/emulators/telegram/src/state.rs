//! The state of the emulator, as a fold over its events. It is pure.

use std::collections::{BTreeMap, VecDeque};

use serde_json::Value;

use super::EmulatedBot;
use super::records::{
    ChatActionRecord, DraftRecord, Event, FileRecord, OutboxMessage, Outcome, UpdateRecord, Webhook,
};

/// The most messages in the outbox; the oldest are removed first. A test run of many thousand messages fits.
const MAX_OUTBOX: usize = 20_000;
/// The most finished updates in lists. Pending updates are never dropped.
const MAX_SETTLED_UPDATES: usize = 1_000;
/// The most chat actions in lists.
const MAX_CHAT_ACTIONS: usize = 1_000;
/// The most drafts in lists.
const MAX_DRAFTS: usize = 1_000;

/// A bot with its webhook, chats and files.
#[derive(Debug, Default)]
pub(super) struct Bot {
    pub token: String,
    pub username: String,
    pub webhook: Option<Webhook>,
    /// When the last push failed (seconds since the epoch) and why.
    pub last_error: Option<(u64, String)>,
    pub last_update_id: u64,
    /// Whether it may manage bots.
    pub can_manage_bots: bool,
    /// The bot that manages it.
    pub manager: Option<i64>,
    /// The user who owns it.
    pub owner: Option<i64>,
}

/// The state of the emulator.
#[derive(Debug, Default)]
pub(super) struct State {
    bots: BTreeMap<i64, Bot>,
    last_message_ids: BTreeMap<(i64, i64), i64>,
    updates: BTreeMap<u64, UpdateRecord>,
    settled: VecDeque<u64>,
    last_serial: u64,
    outbox: VecDeque<OutboxMessage>,
    chat_actions: VecDeque<ChatActionRecord>,
    drafts: VecDeque<DraftRecord>,
    files: BTreeMap<String, FileRecord>,
}

impl State {
    /// Applies `event`.
    pub fn apply(&mut self, event: Event) {
        match event {
            Event::Bot { id, token, username, last_update_id } => {
                let new = Bot { last_update_id, ..Bot::default() };
                let bot = self.bots.entry(id).or_insert(new);
                (bot.token, bot.username) = (token, username);
            }
            Event::Management { id, can_manage_bots, manager, owner } => {
                if let Some(bot) = self.bots.get_mut(&id) {
                    (bot.can_manage_bots, bot.manager, bot.owner) = (can_manage_bots, manager, owner);
                }
            }
            Event::Webhook { bot_id, webhook } => {
                if let Some(bot) = self.bots.get_mut(&bot_id) {
                    bot.webhook = webhook;
                    bot.last_error = None;
                }
            }
            Event::Chat { bot_id, chat_id, last_message_id } => self.seen(bot_id, chat_id, last_message_id),
            Event::Update(update) => self.arrived(update),
            Event::Settled { serial, outcome } => self.settle(serial, outcome),
            Event::Sent(message) => {
                let bot_id = message.bot_identity.parse().unwrap_or_default();
                self.seen(bot_id, message.chat_id, message.message_id);
                // The message takes the place of the drafts.
                for draft in self.drafts_in(&message.bot_identity, message.chat_id) {
                    draft.shown_until = draft.shown_until.min(message.at);
                }
                self.outbox.push_back(message);
                if self.outbox.len() > MAX_OUTBOX {
                    self.outbox.pop_front();
                }
            }
            Event::File(file) => {
                self.files.insert(file.file_id.clone(), file);
            }
        }
    }

    /// The events that create this state from an empty one, for a short journal.
    pub fn events(&self) -> Vec<Event> {
        let mut events = Vec::new();
        for (&id, bot) in &self.bots {
            let (token, username) = (bot.token.clone(), bot.username.clone());
            events.push(Event::Bot { id, token, username, last_update_id: bot.last_update_id });
            let Bot { can_manage_bots, manager, owner, .. } = *bot;
            if can_manage_bots || manager.is_some() {
                events.push(Event::Management { id, can_manage_bots, manager, owner });
            }
            events.extend(bot.webhook.clone().map(|hook| Event::Webhook { bot_id: id, webhook: Some(hook) }));
        }
        for (&(bot_id, chat_id), &last_message_id) in &self.last_message_ids {
            events.push(Event::Chat { bot_id, chat_id, last_message_id });
        }
        events.extend(self.updates.values().cloned().map(Event::Update));
        events.extend(self.outbox.iter().cloned().map(Event::Sent));
        events.extend(self.files.values().cloned().map(Event::File));
        events
    }

    fn seen(&mut self, bot_id: i64, chat_id: i64, message_id: i64) {
        let last = self.last_message_ids.entry((bot_id, chat_id)).or_default();
        *last = (*last).max(message_id);
    }

    fn arrived(&mut self, update: UpdateRecord) {
        self.last_serial = self.last_serial.max(update.serial);
        if let Some(bot) = self.bots.get_mut(&update.bot_id) {
            bot.last_update_id = bot.last_update_id.max(update.update_id);
        }
        if let Some(message_id) = update.message_id {
            self.seen(update.bot_id, update.chat_id, message_id);
        }
        let (serial, outcome) = (update.serial, update.outcome);
        self.updates.insert(serial, update);
        if outcome.is_some() {
            self.settled_one(serial);
        }
    }

    fn settle(&mut self, serial: u64, outcome: Outcome) {
        if let Some(update) = self.updates.get_mut(&serial)
            && update.outcome.is_none()
        {
            update.outcome = Some(outcome);
            self.settled_one(serial);
        }
    }

    fn settled_one(&mut self, serial: u64) {
        self.settled.push_back(serial);
        if self.settled.len() > MAX_SETTLED_UPDATES
            && let Some(oldest) = self.settled.pop_front()
        {
            self.updates.remove(&oldest);
        }
    }

    /// The bot with this id.
    pub fn bot(&self, id: i64) -> Option<&Bot> {
        self.bots.get(&id)
    }

    /// The id of the bot with this user name, in any case.
    pub fn bot_named(&self, username: &str) -> Option<i64> {
        self.bots.iter().find(|(_, bot)| bot.username.eq_ignore_ascii_case(username)).map(|(&id, _)| id)
    }

    /// The id of the bot with this token.
    pub fn bot_by_token(&self, token: &str) -> Option<i64> {
        self.bots.iter().find(|(_, bot)| bot.token == token).map(|(&id, _)| id)
    }

    /// All bots' ids.
    pub fn bot_ids(&self) -> Vec<i64> {
        self.bots.keys().copied().collect()
    }

    /// All bots.
    pub fn bots(&self) -> Vec<EmulatedBot> {
        let of = |(&id, bot): (&i64, &Bot)| EmulatedBot {
            token: bot.token.clone(),
            id,
            username: bot.username.clone(),
        };
        self.bots.iter().map(of).collect()
    }

    /// The serial number of the next update.
    pub fn next_serial(&self) -> u64 {
        self.last_serial + 1
    }

    /// The latest message id of a chat; zero before the first.
    pub fn last_message_id(&self, bot_id: i64, chat_id: i64) -> i64 {
        self.last_message_ids.get(&(bot_id, chat_id)).copied().unwrap_or_default()
    }

    /// The message of an update in a chat, if the update is known.
    pub fn message_of(&self, bot_id: i64, chat_id: i64, update_id: u64) -> Option<i64> {
        let is_same = |update: &&UpdateRecord| {
            update.bot_id == bot_id && update.chat_id == chat_id && update.update_id == update_id
        };
        self.updates.values().rev().find(is_same).and_then(|update| update.message_id)
    }

    /// A pending update.
    pub fn pending(&self, serial: u64) -> Option<&UpdateRecord> {
        self.updates.get(&serial).filter(|update| update.outcome.is_none())
    }

    /// The pending updates of a bot, in order of arrival.
    pub fn pending_of(&self, bot_id: i64) -> impl Iterator<Item = &UpdateRecord> {
        self.updates.values().filter(move |update| update.bot_id == bot_id && update.outcome.is_none())
    }

    /// Records a push and its answer. It is not in the journal, because a new process starts with new attempts.
    pub fn note_push(&mut self, serial: u64, attempts: u32, status: Option<u16>) {
        if let Some(update) = self.updates.get_mut(&serial) {
            update.attempts = attempts;
            update.last_status = status;
        }
    }

    /// Records why a push failed, for `getWebhookInfo`.
    pub fn note_hook_error(&mut self, bot_id: i64, at_secs: u64, message: String) {
        if let Some(bot) = self.bots.get_mut(&bot_id) {
            bot.last_error = Some((at_secs, message));
        }
    }

    /// Records a chat action.
    pub fn note_chat_action(&mut self, action: ChatActionRecord) {
        self.chat_actions.push_back(action);
        if self.chat_actions.len() > MAX_CHAT_ACTIONS {
            self.chat_actions.pop_front();
        }
    }

    /// The latest chat actions, oldest first.
    pub fn chat_actions(&self) -> Vec<ChatActionRecord> {
        self.chat_actions.iter().cloned().collect()
    }

    /// Records a draft, or the change of one.
    pub fn note_draft(&mut self, mut draft: DraftRecord) {
        let known = |d: &DraftRecord| {
            d.draft_id == draft.draft_id && d.chat_id == draft.chat_id && d.bot_identity == draft.bot_identity
        };
        if let Some(before) = self.drafts.iter().position(known).and_then(|at| self.drafts.remove(at)) {
            draft.changes += before.changes;
        }
        self.drafts.push_back(draft);
        if self.drafts.len() > MAX_DRAFTS {
            self.drafts.pop_front();
        }
    }

    /// The drafts, by the time of their last change.
    pub fn drafts(&self) -> Vec<DraftRecord> {
        self.drafts.iter().cloned().collect()
    }

    /// The drafts of a bot in a chat.
    pub fn drafts_in(&mut self, bot: &str, chat: i64) -> impl Iterator<Item = &mut DraftRecord> {
        self.drafts.iter_mut().filter(move |draft| draft.chat_id == chat && draft.bot_identity == bot)
    }

    /// The newest `limit` messages that match, oldest first.
    pub fn outbox(&self, bot: Option<i64>, chat: Option<i64>, limit: usize) -> Vec<OutboxMessage> {
        let bot = bot.map(|id| id.to_string());
        let matches = |m: &&OutboxMessage| {
            bot.as_ref().is_none_or(|bot| *bot == m.bot_identity) && chat.is_none_or(|chat| chat == m.chat_id)
        };
        let mut messages: Vec<_> = self.outbox.iter().rev().filter(matches).take(limit).cloned().collect();
        messages.reverse();
        messages
    }

    /// The updates of a chat with a bot, the newest first.
    pub fn updates_in(&self, bot: i64, chat: i64) -> impl Iterator<Item = &UpdateRecord> {
        self.updates.values().rev().filter(move |update| update.bot_id == bot && update.chat_id == chat)
    }

    /// The newest `limit` updates of one bot, or of all, with their outcome, oldest first.
    pub fn shown_updates(&self, bot: Option<i64>, limit: usize) -> Vec<Value> {
        let matching =
            self.updates.values().rev().filter(|update| bot.is_none_or(|bot| bot == update.bot_id));
        let mut shown: Vec<_> = matching.take(limit).map(UpdateRecord::shown).collect();
        shown.reverse();
        shown
    }

    /// A bot's file by its id.
    pub fn file(&self, bot_id: i64, file_id: &str) -> Option<&FileRecord> {
        self.files.get(file_id).filter(|file| file.bot_id == bot_id)
    }

    /// A bot's file by its download path.
    pub fn file_at(&self, bot_id: i64, path: &str) -> Option<&FileRecord> {
        self.files.values().find(|file| file.bot_id == bot_id && file.path == path)
    }

    /// The number of files.
    pub fn file_count(&self) -> usize {
        self.files.len()
    }
}
