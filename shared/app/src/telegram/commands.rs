//! The commands that the system answers itself: `/start` with and without a pairing code.

use af_domain::agent::{Bot, TelegramIdentity};
use af_domain::ids::{AgentKey, ConsumerUserId, PairingCode, TelegramUserId};
use af_domain::named_enum;
use af_domain::pairing::CodeUpdate;
use af_telegram::update::Origin;

use crate::agents::bindings::of_sender;
use crate::agents::pairing::{Redeemed, redeem};
use crate::outbox::answer;
use crate::settings::ingress_config;
use crate::telegram::notices::PrivateChat;
use crate::{App, Result};

/// The result of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answered {
    /// The person is bound to this user of this agent.
    Paired {
        /// The user.
        user: ConsumerUserId,
        /// The agent.
        agent: AgentKey,
    },
    /// The person is not bound by this command.
    NotPaired(PairingError),
    /// The agent was stopped in the chat.
    Stopped {
        /// The messages that were cancelled. A running one ends with its worker's next heartbeat.
        cancelled: u64,
    },
    /// The person has greeted the bot.
    Greeted {
        /// Whether the person, or the chat, has an active binding.
        is_known: bool,
    },
}

named_enum! {
    /// Why a code does not bind a person.
    pub enum PairingError {
        /// The code is malformed, unknown, used, expired or of another bot. All of these have one name, so that a
        /// person who guesses codes does not learn which codes exist.
        InvalidCode = "invalid_code",
        /// The person has sent too many wrong codes and must wait.
        TooManyWrongCodes = "too_many_wrong_codes",
        /// The code was sent in a group. A binding is for a private chat.
        PrivateChatOnly = "private_chat_only",
    }
}

/// Answers `/start <code>`; `None` is a malformed code.
pub(crate) async fn start_with_code(
    app: &App,
    bot: &Bot,
    code: Option<&str>,
    origin: &Origin,
) -> Result<Answered> {
    let Some(person) = private_sender(origin) else {
        return Ok(Answered::NotPaired(PairingError::PrivateChatOnly));
    };
    let chat = private_chat(app, bot, origin).await?;
    let Some(code) = code.and_then(|code| PairingCode::parse(code).ok()) else {
        answer(app, chat.wrong_code(app, false).await?.as_ref(), origin.update_id).await?;
        return Ok(Answered::NotPaired(PairingError::InvalidCode));
    };
    let sent = CodeUpdate { update: origin.update_id, bot: bot.identity.clone(), user: person.user };
    Ok(match redeem(app, &code, &sent, &person.chat, &chat).await? {
        Redeemed::Paired { user, agent } => Answered::Paired { user, agent },
        Redeemed::Wrong => Answered::NotPaired(PairingError::InvalidCode),
        Redeemed::Locked => Answered::NotPaired(PairingError::TooManyWrongCodes),
    })
}

/// Answers `/start` without a code; `None` in a group, where the command has no meaning.
pub(crate) async fn start(app: &App, bot: &Bot, origin: &Origin) -> Result<Option<Answered>> {
    let Some(person) = private_sender(origin) else { return Ok(None) };
    let (user, chat) = (Some(person.user), Some(person.chat));
    let sender = TelegramIdentity { bot: bot.identity.clone(), user, chat };
    let known = of_sender(app, bot, &sender).await?.map(|binding| binding.user);
    let is_known = known.is_some();
    let chat = private_chat(app, bot, origin).await?;
    let greeting = chat.greeting(app, known).await?;
    answer(app, greeting.as_ref(), origin.update_id).await?;
    Ok(Some(Answered::Greeted { is_known }))
}

async fn private_chat(app: &App, bot: &Bot, origin: &Origin) -> Result<PrivateChat> {
    let texts = ingress_config::for_agent(app, &bot.agent).await?.texts;
    Ok(PrivateChat { bot: bot.identity.clone(), id: origin.chat_id, agent: bot.agent.clone(), texts })
}

/// A person in a private chat with a bot.
struct Person {
    user: TelegramUserId,
    chat: TelegramUserId,
}

/// The sender of a private message; `None` in a group.
fn private_sender(origin: &Origin) -> Option<Person> {
    let id = |id: i64| TelegramUserId::parse(id.to_string()).ok();
    let person = id(origin.user_id).zip(id(origin.chat_id)).map(|(user, chat)| Person { user, chat });
    person.filter(|_| origin.is_private())
}
