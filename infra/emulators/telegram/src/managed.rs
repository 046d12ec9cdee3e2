//! Managed bots: a user creates a bot with a link of a manager bot, and the manager bot fetches and replaces its token.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

use super::answer::{ApiError, Success};
use super::arrival::{Arrival, Pushed};
use super::params::Params;
use super::records::Event;
use super::{Inner, TelegramEmulator, TelegramEmulatorError};

/// The beginning of a link with which a user creates a bot.
const LINK: &str = "https://t.me/newbot/";
/// The length of a user name of a bot.
const USERNAME_CHARS: std::ops::RangeInclusive<usize> = 5..=32;

/// A tap of a user on a link.
#[derive(Debug)]
pub(super) struct Tap {
    pub link: String,
    /// The user, who owns the bot then.
    pub user_id: i64,
    /// The user name that the user chooses instead of the suggested one.
    pub username: Option<String>,
}

/// The bot that a user has created. Its token is shown only to its manager.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Created {
    bot_identity: String,
    username: String,
    #[serde(flatten)]
    pushed: Pushed,
}

impl TelegramEmulator {
    /// Lets a bot manage bots, as Bot Management Mode in BotFather does.
    ///
    /// # Errors
    /// Returns `UnknownBot`, or an error if the journal cannot be written.
    pub fn let_manage(&self, bot: i64) -> Result<(), TelegramEmulatorError> {
        let mut core = self.inner.lock();
        let known = core.state.bot(bot).ok_or(TelegramEmulatorError::UnknownBot(bot))?;
        let (manager, owner) = (known.manager, known.owner);
        Ok(core.commit(vec![Event::Management { id: bot, can_manage_bots: true, manager, owner }])?)
    }

    /// A user opens a link and creates the bot.
    pub(super) async fn tap(&self, tap: Tap) -> Result<Created, TelegramEmulatorError> {
        let refused = |reason: &str| TelegramEmulatorError::NoBotCreated(reason.to_owned());
        let rest = tap.link.strip_prefix(LINK).ok_or_else(|| refused("this is no link for a new bot"))?;
        let (path, _) = rest.split_once('?').unwrap_or((rest, ""));
        let (manager, suggested) =
            path.split_once('/').ok_or_else(|| refused("the link does not name a bot"))?;
        let username = tap.username.as_deref().unwrap_or(suggested).to_owned();
        let manager_id = {
            let core = self.inner.lock();
            let id = core.state.bot_named(manager).ok_or_else(|| refused("MANAGER_INVALID"))?;
            if core.state.bot(id).is_none_or(|bot| !bot.can_manage_bots) {
                return Err(refused("MANAGER_PERMISSION_MISSING"));
            }
            check_username(&username).map_err(refused)?;
            if core.state.bot_named(&username).is_some() {
                return Err(refused("USERNAME_OCCUPIED"));
            }
            id
        };
        let bot = self.add_bot(None, Some(&username))?;
        let (manager, owner) = (Some(manager_id), Some(tap.user_id));
        self.inner.lock().commit(vec![Event::Management {
            id: bot.id,
            can_manage_bots: false,
            manager,
            owner,
        }])?;
        let pushed = self.arrive(self.inner.updated(manager_id, bot.id, tap.user_id)).await?;
        Ok(Created { bot_identity: bot.id.to_string(), username, pushed })
    }
}

fn check_username(username: &str) -> Result<(), &'static str> {
    let is_word = username.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let begins = username.starts_with(|c: char| c.is_ascii_alphabetic());
    match () {
        () if !is_word || !begins || !USERNAME_CHARS.contains(&username.len()) => Err("USERNAME_INVALID"),
        () if !username.to_ascii_lowercase().ends_with("bot") => Err("USERNAME_SUFFIX_MISSING"),
        () => Ok(()),
    }
}

/// `getManagedBotToken`.
pub(super) fn token(inner: &Inner, manager: i64, params: &Params) -> Result<Success, ApiError> {
    let core = inner.lock();
    let bot = managed(&core.state, manager, params)?;
    let token = core.state.bot(bot).map(|bot| bot.token.clone()).unwrap_or_default();
    Ok(Value::String(token).into())
}

/// `replaceManagedBotToken`. The manager gets an update about the new token.
pub(super) fn replace(
    telegram: &TelegramEmulator,
    manager: i64,
    params: &Params,
) -> Result<Success, ApiError> {
    let inner = &telegram.inner;
    let (bot, owner, token) = {
        let mut core = inner.lock();
        let id = managed(&core.state, manager, params)?;
        let Some(bot) = core.state.bot(id) else { return Err(invalid()) };
        let (username, last_update_id) = (bot.username.clone(), bot.last_update_id);
        let owner = bot.owner.unwrap_or_default();
        let token = format!("{id}:{}", inner.random_text(super::TOKEN_CHARS));
        core.commit(vec![Event::Bot { id, token: token.clone(), username, last_update_id }])?;
        (id, owner, token)
    };
    let (telegram, arrival) = (telegram.clone(), inner.updated(manager, bot, owner));
    // The answer does not wait for the webhook of the manager.
    tokio::spawn(async move { telegram.arrive(arrival).await.map(drop) });
    Ok(Value::String(token).into())
}

/// The bot that a call names, if the caller manages it.
fn managed(state: &super::state::State, manager: i64, params: &Params) -> Result<i64, ApiError> {
    let id = params.integer("user_id").ok_or_else(invalid)?;
    let is_managed = state.bot(id).is_some_and(|bot| bot.manager == Some(manager));
    if is_managed { Ok(id) } else { Err(invalid()) }
}

fn invalid() -> ApiError {
    ApiError::bad_request("BOT_INVALID")
}

impl Inner {
    /// The update `managed_bot` for the manager of a bot.
    fn updated(self: &Arc<Self>, manager: i64, bot: i64, owner: i64) -> Arrival {
        let user = json!({"id": owner, "is_bot": false, "first_name": format!("user{owner}")});
        let raw = json!({"managed_bot": {"user": user, "bot": self.user(bot)}});
        Arrival::of_raw(manager, owner, raw)
    }
}
