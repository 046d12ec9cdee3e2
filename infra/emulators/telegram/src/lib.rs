//! The Telegram emulator of `agent-factory dev`: bots, chats and webhooks without Telegram.
//!
//! It answers the Bot API methods that this project and worker images call, and checks their parameters as Telegram
//! does, with the same error texts. It keeps the messages that bots send, and pushes the messages of users to the
//! webhooks of the bots: in order within a chat, and again after an answer that is not 2xx, as the server of Telegram
//! does. It calls webhooks on this machine only.
//!
//! States of an update: `pending → delivered` (2xx from the webhook, or confirmed by `getUpdates`) or
//! `pending → given_up` (no attempts left). Invariants: an event is in the journal before it is answered, so that a
//! killed process loses no answered event; an update of a chat is not pushed before the earlier updates of that chat
//! are settled. Failure handling: when the journal cannot be written, the answer is 500 and nothing changes.

mod answer;
mod api;
mod arrival;
mod control;
mod drafts;
mod faults;
mod files;
mod hooks;
mod html;
mod journal;
mod managed;
mod params;
mod phone;
mod push;
mod records;
mod sending;
mod state;
mod token;
mod updates;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use af_domain::time::Millis;
use af_runtime::clock::SharedClock;
use af_runtime::entropy::Entropy;
use anyhow::Context;
use axum::Router;
use axum::body::Bytes;
use tokio::sync::watch;

pub use faults::Fault;
pub use files::StoredFile;
pub use phone::UserText;
pub use records::{ChatActionRecord, DraftRecord, OutboxMessage, SentKind};

use faults::Faults;
use journal::Journal;
use push::Lanes;
use records::Event;
use state::State;

/// The journal's name in the data folder.
const JOURNAL_FILE: &str = "telegram.jsonl";
/// The folder for uploaded files in the data folder.
const FILES_DIR: &str = "telegram-files";
/// The lowest random bot id: ten digits, like real ids.
const BOT_ID_MIN: usize = 1_000_000_000;
/// The number of random bot ids.
const BOT_IDS: usize = 8_000_000_000;
/// The length of the secret part of a bot token, like real ones.
const TOKEN_CHARS: usize = 35;
/// The lowest first update id of a new bot.
const UPDATE_ID_MIN: usize = 100_000_000;
/// The number of random first update ids.
const UPDATE_IDS: usize = 800_000_000;
/// The time limit of a webhook for one update.
const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(30);

/// The retries of updates after a webhook has failed.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Pushes of one update before it is given up. Telegram retries for a day. Ten pushes take about five minutes,
    /// which is enough for a restart of `dev`.
    pub max_attempts: u32,
    /// The first retry follows at once, the second one after twice this, and the wait doubles from there.
    pub backoff: Millis,
    /// Longest wait between two pushes.
    pub max_backoff: Millis,
}

impl Default for Options {
    fn default() -> Self {
        Self { max_attempts: 10, backoff: Millis::from_secs(1), max_backoff: Millis::from_secs(60) }
    }
}

/// The reason why the emulator cannot create a bot or store an event or a file.
#[derive(Debug, thiserror::Error)]
pub enum TelegramEmulatorError {
    /// The data folder cannot be written.
    #[error(transparent)]
    Storage(#[from] anyhow::Error),
    /// The text does not have the form of a bot token.
    #[error("a bot token is <digits>:<letters, digits, _ or ->")]
    NotAToken,
    /// No bot has this identity.
    #[error("there is no bot {0}")]
    UnknownBot(i64),
    /// A user could not create a bot.
    #[error("the bot was not created: {0}")]
    NoBotCreated(String),
    /// The chat shows no such draft, or the draft has no stop button.
    #[error("the chat {chat} shows no draft {draft} with a stop button")]
    NoStopButton {
        /// The chat.
        chat: i64,
        /// The draft.
        draft: i64,
    },
}

/// A bot of the emulator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmulatedBot {
    /// Its token, which has no use outside the emulator.
    pub token: String,
    /// Its bot identity.
    pub id: i64,
    /// Its name without `@`.
    pub username: String,
}

/// The emulator. Clones share the same bots and chats.
#[derive(Clone)]
pub struct TelegramEmulator {
    inner: Arc<Inner>,
}

struct Inner {
    core: Mutex<Core>,
    faults: Mutex<Faults>,
    clock: SharedClock,
    entropy: Arc<Entropy>,
    http: reqwest::Client,
    options: Options,
    /// The folder of file contents; without it, they are kept in `contents`.
    files_dir: Option<PathBuf>,
    contents: Mutex<HashMap<String, Bytes>>,
    /// Changes when a webhook is set or deleted, so that pushes that wait for their retry check again.
    hooks_changed: watch::Sender<()>,
    /// Changes when an update arrives, which wakes the calls of `getUpdates` that wait.
    arrived: watch::Sender<()>,
}

/// The state that changes atomically.
struct Core {
    state: State,
    journal: Option<Journal>,
    lanes: Lanes,
}

impl Core {
    /// Appends `events` to the journal, then applies them. If they cannot be written, the state does not change.
    fn commit(&mut self, events: Vec<Event>) -> anyhow::Result<()> {
        if let Some(journal) = &mut self.journal {
            journal.append(&events)?;
        }
        for event in events {
            self.state.apply(event);
        }
        match &mut self.journal {
            Some(journal) if journal.is_long() => journal.rewrite(&self.state.events()),
            _ => Ok(()),
        }
    }
}

impl TelegramEmulator {
    /// Opens the emulator with its journal in `dir`, or an empty one in memory. It pushes no updates yet: see
    /// [`resume`](Self::resume).
    ///
    /// # Errors
    /// Returns an error if the folder cannot be used or the file is not a journal of this emulator.
    pub fn open(
        dir: Option<&Path>,
        clock: SharedClock,
        entropy: Arc<Entropy>,
        options: Options,
    ) -> anyhow::Result<Self> {
        let mut state = State::default();
        let journal = dir.map(|dir| Journal::open(&dir.join(JOURNAL_FILE), &mut state)).transpose()?;
        // It uses no proxy, because it calls only this machine. It follows no redirect, because it might lead to
        // another machine.
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(WEBHOOK_TIMEOUT)
            .build()
            .context("the Telegram emulator cannot make HTTP calls")?;
        let inner = Inner {
            core: Mutex::new(Core { state, journal, lanes: Lanes::default() }),
            faults: Mutex::default(),
            clock,
            entropy,
            http,
            options,
            files_dir: dir.map(|dir| dir.join(FILES_DIR)),
            contents: Mutex::default(),
            hooks_changed: watch::Sender::new(()),
            arrived: watch::Sender::new(()),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The Bot API: `/bot<token>/<method>` and `/file/bot<token>/<path>`.
    pub fn api(&self) -> Router {
        api::router(self.clone())
    }

    /// The control routes (`/telegram/…`), to be mounted under `/_local`.
    pub fn control(&self) -> Router {
        control::router(self.clone())
    }

    /// Pushes the updates that an earlier process has left pending. `setWebhook` does the same for its bot, so a
    /// `dev` with another port than before sets its webhooks first.
    pub fn resume(&self) {
        let mut core = self.inner.lock();
        for bot in core.state.bot_ids() {
            self.inner.push_pending(&mut core, bot);
        }
    }

    /// Creates a bot, with a random token if none is given. A token with the id of an existing bot replaces the token
    /// of that bot, like a rotation.
    ///
    /// # Errors
    /// Returns `NotAToken`, or an error if the journal cannot be written.
    pub fn add_bot(
        &self,
        token: Option<&str>,
        username: Option<&str>,
    ) -> Result<EmulatedBot, TelegramEmulatorError> {
        let token = token.map_or_else(|| self.inner.fresh_token(), str::to_owned);
        let id = token::id_of(&token).ok_or(TelegramEmulatorError::NotAToken)?;
        let mut core = self.inner.lock();
        let known = core.state.bot(id).map(|bot| bot.username.clone());
        let username = username.map(str::to_owned).or(known).unwrap_or_else(|| format!("agent_{id}_bot"));
        // Update ids start at a random number, because those of Telegram do not start at 1 either.
        let last_update_id = (UPDATE_ID_MIN + self.inner.entropy.below(UPDATE_IDS)) as u64;
        core.commit(vec![Event::Bot {
            id,
            token: token.clone(),
            username: username.clone(),
            last_update_id,
        }])?;
        Ok(EmulatedBot { token, id, username })
    }

    /// All bots.
    pub fn bots(&self) -> Vec<EmulatedBot> {
        self.inner.lock().state.bots()
    }

    /// The messages that bots sent, oldest first: the newest `limit` messages of one chat and of one bot, or of all.
    pub fn outbox(&self, bot: Option<i64>, chat: Option<i64>, limit: usize) -> Vec<OutboxMessage> {
        self.inner.lock().state.outbox(bot, chat, limit)
    }

    /// The latest chat actions ("typing"), oldest first. They are in memory only.
    pub fn chat_actions(&self) -> Vec<ChatActionRecord> {
        self.inner.lock().state.chat_actions()
    }

    /// The drafts in their newest state, by the time of their last change. They are in memory only.
    pub fn drafts(&self) -> Vec<DraftRecord> {
        self.inner.lock().state.drafts()
    }

    /// Answers the next `times` calls of `method` with `fault`. Faults are in memory only.
    pub fn fault(&self, method: &str, fault: &Fault, times: usize) {
        self.inner.faults.lock().unwrap_or_else(PoisonError::into_inner).queue(method, Some(fault), times);
    }

    /// Answers the next `times` calls of `method` without a fault, before the faults that are queued later.
    pub fn succeed(&self, method: &str, times: usize) {
        self.inner.faults.lock().unwrap_or_else(PoisonError::into_inner).queue(method, None, times);
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fresh_token(&self) -> String {
        format!("{}:{}", BOT_ID_MIN + self.entropy.below(BOT_IDS), self.random_text(TOKEN_CHARS))
    }

    /// `length` random letters, digits, `_` and `-`.
    fn random_text(&self, length: usize) -> String {
        const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
        (0..length).map(|_| char::from(LETTERS[self.entropy.below(LETTERS.len())])).collect()
    }
}
