//! Samples of the keys of bindings and pairing codes.

use std::collections::BTreeMap;

use af_domain::ids::{AgentKey, BindingId, BotIdentity, ConsumerUserId, PairingCode, TelegramUserId};
use af_domain::time::Timestamp;
use af_store::keys::{self, Key};

use crate::docs::Samples;

pub fn samples() -> Samples {
    let (agent, bot) = (AgentKey::parse("support").unwrap(), BotIdentity::parse("77").unwrap());
    let (user, code) = (ConsumerUserId::parse("ann").unwrap(), PairingCode::of(7));
    let person = |id: &str| TelegramUserId::parse(id).unwrap();
    let at = Timestamp::from_millis(1_700_000_000_000);
    let id = BindingId::parse("01HF7YAT000000000000000000").unwrap();
    let key = |key: Key| vec![key.pk, key.sk];
    let made = [
        ("binding", key(keys::binding(&user))),
        ("binding_of_chat", key(keys::binding_of_chat(&bot, &person("555")))),
        ("binding_of_telegram_user", key(keys::binding_of_telegram_user(&bot, &person("444")))),
        ("newest_pairing", key(keys::newest_pairing(&user, &agent))),
        ("pairing", key(keys::pairing(&code))),
        ("past_binding", key(keys::past_binding(&user, at, &id))),
        ("wrong_codes", key(keys::wrong_codes(&bot, &person("444")))),
    ];
    Samples { made: BTreeMap::from(made), placeholders: vec![("code", code.to_string())] }
}
