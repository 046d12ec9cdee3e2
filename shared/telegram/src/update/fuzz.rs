//! Random updates: none causes a panic, loses a readable text, or grows.
//!
//! `FUZZ_INPUTS=1000000 cargo test -p af-telegram fuzz --release` tries more than the few of every test run.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use serde_json::{Value, json};

use super::*;

/// How many inputs a test tries without `FUZZ_INPUTS`.
const INPUTS: u32 = 500;
const FIELDS: [&str; 31] = [
    "message_id",
    "message_thread_id",
    "is_topic_message",
    "from",
    "chat",
    "reply_to_message",
    "text",
    "caption",
    "photo",
    "video",
    "audio",
    "voice",
    "document",
    "animation",
    "video_note",
    "sticker",
    "location",
    "venue",
    "contact",
    "poll",
    "dice",
    "quote",
    "entities",
    "caption_entities",
    "sender_chat",
    "edit_date",
    "media_group_id",
    "migrate_to_chat_id",
    "reply_markup",
    "is_forum",
    "unknown",
];

fn runner() -> TestRunner {
    let cases = std::env::var("FUZZ_INPUTS").ok().and_then(|n| n.parse().ok()).unwrap_or(INPUTS);
    TestRunner::new(Config {
        cases,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(1),
        ..Config::default()
    })
}

/// Texts with commands, invisible characters, and escapes that [`mended`] must understand.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "/(start|stop)(@[a-z]{0,3})?[ \n]?[a-z_-]{0,6}",
        Just("\u{202e}\u{0}\u{feff}\\ud83d".to_owned()),
        "[a-z]{0,8}/\\.\\./[a-z\\\\]{0,8}",
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        let name = prop_oneof![
            proptest::sample::select(vec![
                "id",
                "type",
                "username",
                "file_id",
                "file_name",
                "file_size",
                "width",
                "latitude",
                "emoji",
                "question",
                "user"
            ])
            .prop_map(str::to_owned),
            any::<String>(),
        ];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::vec((name, inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// A readable update, of which some fields have any value.
fn update() -> impl Strategy<Value = Value> {
    let changes = proptest::collection::vec((proptest::sample::select(FIELDS.to_vec()), value()), 0..4);
    (changes, any::<bool>(), text()).prop_map(|(changes, edited, text)| {
        let mut message = json!({"message_id": 1, "chat": {"id": 5}, "from": {"id": 5}, "text": text});
        for (name, value) in changes {
            message[name] = value;
        }
        json!({"update_id": 1, (if edited { "edited_message" } else { "message" }): message})
    })
}

fn check(body: &[u8]) -> Result<(), TestCaseError> {
    if let Ingress::Message(message) = read(&BotIdentity::parse("4242").unwrap(), body) {
        prop_assert!(!message.text.trim().is_empty());
        // U+FFFD has three bytes and may replace one.
        prop_assert!(message.text.len() <= 3 * body.len() + "[document: ]".len());
        prop_assert!(message.raw.as_ref().is_none_or(|raw| raw.len() <= MAX_RAW_BYTES));
        prop_assert_eq!(message.raw.is_none(), message.metadata.contains_key("telegramRawUpdate"));
    }
    Ok(())
}

#[test]
fn fuzz_updates_with_fields_of_any_value_cause_no_panic() {
    runner().run(&update(), |update| check(update.to_string().as_bytes())).unwrap();
}

#[test]
fn fuzz_updates_with_broken_bytes_cause_no_panic_and_broken_characters_lose_no_text() {
    let bytes = proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..4);
    let broken = (update(), bytes, 0xd800_u16..0xe000).prop_map(|(update, changes, surrogate)| {
        let whole = update.to_string().replace('{', &format!("{{\"odd\":\"\\u{surrogate:04x}\","));
        // An object without fields would end in a comma.
        let mut body = whole.replace(",}", "}").into_bytes();
        for (at, byte) in changes {
            let at = at.index(body.len());
            body[at] = byte;
        }
        body
    });
    runner().run(&broken, |body| check(&body)).unwrap();
    let lone = (0xd800_u16..0xe000, "[a-z]{1,8}");
    let found = runner().run(&lone, |(surrogate, word)| {
        let body = format!(
            r#"{{"update_id":1,"message":{{"message_id":1,"chat":{{"id":5}},"from":{{"id":5}},"text":"{word}\u{surrogate:04x}"}}}}"#
        );
        let Ingress::Message(message) = read(&BotIdentity::parse("4242").unwrap(), body.as_bytes()) else {
            return Err(TestCaseError::fail("the message is lost"));
        };
        prop_assert_eq!(message.text, format!("{word}\u{fffd}"));
        Ok(())
    });
    found.unwrap();
}
