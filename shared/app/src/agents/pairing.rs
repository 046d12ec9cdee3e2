//! Pairing codes: create, show, and use. A person sends the code to the bot of the agent and is then bound to the user.

use af_domain::agent::{AgentProfile, Binding, BindingSource, TelegramIdentity};
use af_domain::ids::{AgentKey, ConsumerUserId, PairingCode, TelegramUserId};
use af_domain::pairing::{
    CodeUpdate, DEFAULT_TTL, Decision, MAX_TTL, MAX_WRONG_CODES, MIN_TTL, Pairing, PairingUse, decide,
};
use af_domain::refusal::{Code, Refusal};
use af_domain::time::Millis;
use af_store::conversation::Commit;
use af_store::idempotency::IdempotentCall;

use crate::agents::bindings::{has_bot, new_binding, replaced_by};
use crate::agents::profiles;
use crate::intake::idempotency;
use crate::telegram::notices::PrivateChat;
use crate::{App, AppError, Result};

/// Times that a code is created or used again because another call has changed the same items meanwhile.
const MAX_TRIES: usize = 5;

/// A pairing code with the link that sends it to the bot.
#[derive(Debug, Clone)]
pub struct NewPairing {
    /// The code.
    pub pairing: Pairing,
    /// The link.
    pub deep_link: String,
}

/// Creates a pairing code. The pending code of the same user and agent expires. With `once`, a repetition of the same call
/// returns the same code.
///
/// # Errors
/// Returns 404 for an unknown agent, 409 if the agent is disabled, has no bot, or the webhook of its bot is not ready, and
/// 422 for an invalid validity.
pub async fn create(
    app: &App,
    user: &ConsumerUserId,
    agent: &AgentKey,
    ttl: Option<Millis>,
    once: Option<&IdempotentCall>,
) -> Result<NewPairing> {
    let ttl = ttl.unwrap_or(DEFAULT_TTL);
    if !(MIN_TTL..=MAX_TTL).contains(&ttl) {
        let (min, max) = (MIN_TTL.as_millis(), MAX_TTL.as_millis());
        return Err(
            Refusal::field("/ttlMs", format!("ttlMs must be a whole number from {min} to {max}")).into()
        );
    }
    // The conversation id of the binding consists of both names, and the length of that id is limited.
    af_domain::agent::conversation_of(agent, user)?;
    let profile = profiles::takes_messages(agent, profiles::now(app, agent).await?)?;
    let bot = profile.bot.as_ref().ok_or_else(|| no_bot(agent))?;
    if app.store.bot_now(&bot.identity).await?.is_none_or(|bot| bot.ready_at.is_none()) {
        return Err(webhook_not_ready(agent).into());
    }
    for _ in 0..MAX_TRIES {
        let now = app.now();
        if let Some(made) = idempotency::find_record(app, once).await? {
            let made = app.store.pairing(&PairingCode::parse(made.id)?, now).await?;
            let pairing = made.ok_or_else(|| Refusal::not_found("pairing code of this call any more"))?;
            return Ok(with_link(pairing, &profile));
        }
        let previous = app.store.newest_pairing(user, agent, now).await?;
        let pairing = Pairing {
            code: PairingCode::of(app.entropy.next_u64()),
            user: user.clone(),
            agent: agent.clone(),
            bot: bot.identity.clone(),
            created_at: now,
            expires_at: now + ttl,
            used: None,
        };
        if let Commit::Done = app.store.create_pairing_if_newest(&pairing, previous.as_ref(), once).await? {
            return Ok(with_link(pairing, &profile));
        }
    }
    Err(AppError::Overtaken("creating a pairing code"))
}

fn with_link(pairing: Pairing, profile: &AgentProfile) -> NewPairing {
    let username = profile.bot.as_ref().map(|bot| bot.username.as_str()).unwrap_or_default();
    NewPairing { deep_link: pairing.code.deep_link(username), pairing }
}

fn no_bot(agent: &AgentKey) -> Refusal {
    let detail = format!(
        "agent {agent} has no bot; import its token with PUT /v1/users/{{consumerUserId}}/agents/{agent}/telegram-token"
    );
    Refusal::new(Code::NotConfigured, detail)
}

fn webhook_not_ready(agent: &AgentKey) -> Refusal {
    let detail = format!(
        "Telegram does not send the updates of the bot of agent {agent} to this deployment; configure the webhook with \
         POST /v1/telegram/webhooks"
    );
    Refusal::new(Code::NotConfigured, detail)
}

/// Returns a pairing code, or 404 if there is none. An expired code is kept for a day.
pub async fn get(app: &App, code: &PairingCode) -> Result<Pairing> {
    let found = app.store.pairing(code, app.now()).await?;
    Ok(found.ok_or_else(|| Refusal::not_found("pairing code of this name"))?)
}

/// Returns the newest pairing code of a user and an agent, or 404 if there is none.
pub async fn newest(app: &App, user: &ConsumerUserId, agent: &AgentKey) -> Result<Pairing> {
    let found = app.store.newest_pairing(user, agent, app.now()).await?;
    Ok(found.ok_or_else(|| Refusal::not_found(format!("pairing code of user {user} and agent {agent}")))?)
}

/// The result of a code that a person has sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Redeemed {
    /// The person is bound to this user of this agent.
    Paired {
        /// The user.
        user: ConsumerUserId,
        /// The agent.
        agent: AgentKey,
    },
    /// The code is unknown, used, expired, or of another bot. The person does not learn which.
    Wrong,
    /// The person has sent too many wrong codes.
    Locked,
}

/// Uses a code that a person has sent in the private chat `chat`, and answers the person with a notice. A repetition of the
/// update gets the same result and no second notice.
pub(crate) async fn redeem(
    app: &App,
    code: &PairingCode,
    sent: &CodeUpdate,
    chat: &TelegramUserId,
    answers: &PrivateChat,
) -> Result<Redeemed> {
    for _ in 0..MAX_TRIES {
        let now = app.now();
        let stored = app.store.sent_code(code, sent, now).await?;
        let decision = decide(stored.pairing.as_ref(), stored.wrong.as_ref(), sent, now);
        let accepted = match (decision, stored.pairing) {
            (Decision::Locked, _) => return Ok(Redeemed::Locked),
            (Decision::CountedAsWrong, _) => return Ok(Redeemed::Wrong),
            (Decision::AlreadyPaired, Some(Pairing { user, agent, .. })) => {
                return Ok(Redeemed::Paired { user, agent });
            }
            (Decision::Pair, Some(pairing)) => accepting(app, pairing).await?,
            (Decision::Pair | Decision::AlreadyPaired | Decision::Wrong, _) => None,
        };
        let Some((pairing, profile)) = accepted else {
            let locks =
                stored.wrong.is_some_and(|wrong| now < wrong.until && wrong.count + 1 >= MAX_WRONG_CODES);
            let notice = answers.wrong_code(app, locks).await?;
            app.store.count_wrong_code(sent, now, notice.as_ref()).await?;
            return Ok(Redeemed::Wrong);
        };
        let used = PairingUse { at: now, user: sent.user.clone(), chat: chat.clone() };
        let binding = binding_of(app, &pairing, &used)?;
        let replaced = replaced_by(app, &binding).await?;
        let notice = answers.paired(app, &profile, &pairing.user);
        let paired = app.store.pair_if_pending(&pairing, &used, &binding, &replaced, notice.as_ref()).await?;
        if let Commit::Done = paired {
            return Ok(Redeemed::Paired { user: pairing.user, agent: pairing.agent });
        }
    }
    Err(AppError::Overtaken("using a pairing code"))
}

/// Returns the code with the profile of its agent, if the agent still accepts messages and still has the bot.
async fn accepting(app: &App, pairing: Pairing) -> Result<Option<(Pairing, AgentProfile)>> {
    let profile = profiles::now(app, &pairing.agent).await?;
    let profile = profile.filter(|profile| profile.enabled && has_bot(profile, &pairing.bot));
    Ok(profile.map(|profile| (pairing, profile)))
}

fn binding_of(app: &App, pairing: &Pairing, used: &PairingUse) -> Result<Binding> {
    let person = TelegramIdentity {
        bot: pairing.bot.clone(),
        user: Some(used.user.clone()),
        chat: Some(used.chat.clone()),
    };
    new_binding(app, &pairing.user, &pairing.agent, Some(person), BindingSource::TelegramPairing)
}
