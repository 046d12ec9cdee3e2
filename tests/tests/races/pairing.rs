//! Pairing codes that are used, and bindings that are made, at the same time.

use af_app::agents::bindings;
use af_app::agents::pairing::create;
use af_app::telegram::commands::{Answered, PairingError};
use af_app::telegram::ingress::{Handled, handle};
use af_domain::agent::{BindingSource, BotName, TelegramIdentity};
use af_domain::ids::{AgentKey, BotIdentity, ConsumerUserId, PairingCode, TelegramUserId};
use af_domain::pairing::MAX_WRONG_CODES;
use futures::future::join_all;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::world::{AGENT, World};

const BOT: &str = "77";
const SECRET: &str = "the-secret-of-the-webhook";
/// Persons or updates at the same time.
const SENDERS: u64 = 64;

fn user(name: &str) -> ConsumerUserId {
    ConsumerUserId::parse(name).unwrap()
}

fn person(id: u64) -> TelegramIdentity {
    let id = TelegramUserId::parse(id.to_string()).unwrap();
    TelegramIdentity { bot: BotIdentity::parse(BOT).unwrap(), user: Some(id.clone()), chat: Some(id) }
}

/// A deployment whose agent has a bot with a ready webhook.
async fn world() -> World {
    let world = World::new().await;
    let (store, now) = (&world.app.store, world.app.now());
    let bot = BotName { identity: BotIdentity::parse(BOT).unwrap(), username: "demo_bot".into() };
    let agent = AgentKey::parse(AGENT).unwrap();
    store.assign_bot_if_unclaimed(&agent, &bot, None, now).await.unwrap();
    let stored = store.bot(&bot.identity).await.unwrap().unwrap();
    store.rotate_webhook_secret(&stored, Sha256::digest(SECRET).into(), now).await.unwrap();
    store.webhook_ready(&bot.identity, Some(now)).await.unwrap();
    world
}

async fn code_for(world: &World, name: &str) -> PairingCode {
    let agent = AgentKey::parse(AGENT).unwrap();
    create(&world.app, &user(name), &agent, None, None).await.unwrap().pairing.code
}

/// The person sends the code.
async fn sends(world: &World, update: u64, person: u64, code: &str) -> Answered {
    let body = json!({"update_id": update, "message": {
        "message_id": update, "date": 1, "chat": {"id": person, "type": "private"},
        "from": {"id": person, "is_bot": false, "first_name": "Ann"}, "text": format!("/start {code}"),
    }});
    match handle(&world.app, BOT, Some(SECRET), body.to_string().as_bytes()).await.unwrap() {
        Handled::Command(answered) => answered,
        other => panic!("{other:?}"),
    }
}

fn is_paired(answered: &Answered) -> bool {
    matches!(answered, Answered::Paired { .. })
}

#[tokio::test]
async fn of_64_persons_with_one_code_exactly_one_is_paired() {
    let world = world().await;
    let code = code_for(&world, "ann").await;
    let sent = (1..=SENDERS).map(|n| sends(&world, n, 1_000 + n, code.as_str()));
    let answers = join_all(sent).await;
    let paired: Vec<_> = (1..=SENDERS).zip(&answers).filter(|(_, a)| is_paired(a)).map(|(n, _)| n).collect();
    let [winner] = paired[..] else { panic!("{paired:?}") };
    let binding = bindings::get(&world.app, &user("ann")).await.unwrap();
    assert_eq!(binding.telegram, Some(person(1_000 + winner)));
    let listed = bindings::list(&world.app, &user("ann"), 10, None).await.unwrap().items;
    assert_eq!(listed.len(), 1, "no other person was ever bound");
    let others = answers.into_iter().filter(|answer| !is_paired(answer));
    assert!(others.into_iter().all(|answer| answer == Answered::NotPaired(PairingError::InvalidCode)));
}

#[tokio::test]
async fn simultaneous_repetitions_of_one_update_are_all_paired_and_bind_once() {
    let world = world().await;
    let code = code_for(&world, "ann").await;
    let answers = join_all((0..SENDERS).map(|_| sends(&world, 7, 1_001, code.as_str()))).await;
    assert!(answers.iter().all(is_paired), "{answers:?}");
    let listed = bindings::list(&world.app, &user("ann"), 10, None).await.unwrap().items;
    assert_eq!(listed.len(), 1);
}

#[tokio::test]
async fn of_two_codes_on_one_chat_exactly_one_binding_is_active() {
    let world = world().await;
    let (anns, bobs) = (code_for(&world, "ann").await, code_for(&world, "bob").await);
    let (first, second) =
        tokio::join!(sends(&world, 1, 1_001, anns.as_str()), sends(&world, 2, 1_001, bobs.as_str()));
    assert!(is_paired(&first) && is_paired(&second));
    let mut active = Vec::new();
    for name in ["ann", "bob"] {
        let listed = bindings::list(&world.app, &user(name), 10, None).await.unwrap().items;
        assert_eq!(listed.len(), 1, "{name} was bound once");
        active.extend(listed.into_iter().filter(|listed| listed.revoked_at.is_none()));
    }
    let [active] = &active[..] else { panic!("{active:?}") };
    let resolved = bindings::resolve(&world.app, &person(1_001)).await.unwrap();
    assert_eq!(resolved, active.binding);
}

#[tokio::test]
async fn simultaneous_wrong_codes_are_all_counted() {
    let world = world().await;
    let code = code_for(&world, "ann").await;
    let wrong = u64::from(MAX_WRONG_CODES);
    join_all((1..=wrong).map(|n| sends(&world, n, 1_001, "WRONGWRONG"))).await;
    let answer = sends(&world, wrong + 1, 1_001, code.as_str()).await;
    assert_eq!(answer, Answered::NotPaired(PairingError::TooManyWrongCodes));
}

#[tokio::test]
async fn of_simultaneous_new_codes_exactly_one_is_pending() {
    let world = world().await;
    let codes = join_all((0..4).map(|_| code_for(&world, "ann"))).await;
    let now = world.app.now();
    let mut pending = Vec::new();
    for code in &codes {
        let pairing = world.app.store.pairing(code, now).await.unwrap().unwrap();
        pending.extend((pairing.expires_at > now).then(|| code.clone()));
    }
    let agent = AgentKey::parse(AGENT).unwrap();
    let newest = world.app.store.newest_pairing(&user("ann"), &agent, now).await.unwrap().unwrap();
    assert_eq!(pending, [newest.code]);
}

#[tokio::test]
async fn of_simultaneous_bindings_of_one_chat_one_stays_active_and_the_others_become_history() {
    let world = world().await;
    let agent = AgentKey::parse(AGENT).unwrap();
    // Each try of a binding meets at most one faster binding.
    let users = ["ann", "bob", "cid", "dan"].map(user);
    let bound = users
        .iter()
        .map(|user| bindings::bind(&world.app, user, &agent, Some(person(1_001)), BindingSource::Api));
    let bound: Vec<_> = join_all(bound).await.into_iter().map(Result::unwrap).collect();
    let mut active = Vec::new();
    for (user, bound) in users.iter().zip(bound) {
        let [listed] = &bindings::list(&world.app, user, 10, None).await.unwrap().items[..] else { panic!() };
        assert_eq!(listed.binding, bound);
        active.extend(listed.revoked_at.is_none().then_some(bound));
    }
    let resolved = bindings::resolve(&world.app, &person(1_001)).await.unwrap();
    assert_eq!(active, [resolved]);
}

#[tokio::test]
async fn of_a_simultaneous_revoke_and_pairing_the_history_has_both_bindings() {
    let world = world().await;
    let agent = AgentKey::parse(AGENT).unwrap();
    bindings::bind(&world.app, &user("ann"), &agent, Some(person(1_001)), BindingSource::Api).await.unwrap();
    let code = code_for(&world, "ann").await;
    let ann = user("ann");
    let (revoked, paired) =
        tokio::join!(bindings::revoke(&world.app, &ann), sends(&world, 1, 1_002, code.as_str()));
    assert!(revoked.is_ok() && is_paired(&paired));
    let listed = bindings::list(&world.app, &ann, 10, None).await.unwrap().items;
    assert_eq!(listed.len(), 2, "{listed:?}");
    let active = listed.iter().filter(|listed| listed.revoked_at.is_none()).count();
    let known = bindings::resolve(&world.app, &person(1_002)).await.is_ok();
    assert_eq!(active, usize::from(known), "the user and the Telegram user agree");
}
