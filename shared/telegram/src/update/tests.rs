//! Tests of `read`.

use af_domain::attachment::{AttachmentKind, AttachmentState};
use af_domain::ids::ContentType;
use serde_json::json;

use super::*;

fn bot() -> BotIdentity {
    BotIdentity::parse("4242").unwrap()
}

pub(super) fn of(value: &Value) -> Ingress {
    read(&bot(), value.to_string().as_bytes())
}

/// An update with a message in a private chat, with `fields` merged into the message.
pub(super) fn message(fields: Value) -> Value {
    let mut message = json!({
        "message_id": 11, "date": 1_700_000_000,
        "from": {"id": 99, "is_bot": false, "first_name": "Ada", "username": "ada"},
        "chat": {"id": 99, "type": "private", "first_name": "Ada"},
    });
    merge(&mut message, fields);
    json!({"update_id": 5, "message": message})
}

pub(super) fn merge(into: &mut Value, fields: Value) {
    let Value::Object(fields) = fields else { panic!("fields are an object") };
    for (key, value) in fields {
        into[key.as_str()] = value;
    }
}

pub(super) fn text(text: &str) -> Value {
    message(json!({"text": text}))
}

pub(super) fn incoming(value: &Value) -> IncomingMessage {
    match of(value) {
        Ingress::Message(message) => message,
        other => panic!("{other:?}"),
    }
}

pub(super) fn ignored(value: &Value) -> &'static str {
    match of(value) {
        Ingress::Ignored { reason } => reason,
        other => panic!("{other:?}"),
    }
}

fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

#[test]
fn a_text_message_is_parsed_with_its_sender_and_chat() {
    let update = text("hello");
    let got = incoming(&update);
    assert_eq!(
        (got.origin.update_id, got.origin.chat_id, got.origin.user_id, got.origin.message_id),
        (5, 99, 99, 11)
    );
    assert_eq!(
        (got.origin.chat_type.as_str(), got.origin.username.as_deref(), got.text.as_str()),
        ("private", Some("ada"), "hello")
    );
    assert_eq!(got.raw, Some(update.to_string()));
    assert_eq!(
        got.metadata,
        pairs(&[
            ("telegramBotIdentity", "4242"),
            ("telegramChatId", "99"),
            ("telegramUserId", "99"),
            ("telegramUsername", "ada"),
            ("telegramMessageId", "11"),
        ])
    );
}

#[test]
fn the_largest_photo_size_is_used() {
    let sizes = json!([
        {"file_id": "small", "width": 90, "height": 90, "file_size": 1},
        {"file_id": "large", "width": 1280, "height": 1280, "file_size": 3},
        "nonsense", [1, 2],
        {"file_id": "middle", "width": 320, "height": 320, "file_size": 2},
    ]);
    let got = incoming(&message(json!({"photo": sizes})));
    assert_eq!(got.text, "[photo]");
    assert_eq!(got.metadata["telegramMediaType"], "photo");
    assert_eq!(got.metadata["telegramPhotoFileId"], "large");
}

#[test]
fn a_caption_is_the_text_of_its_media() {
    let got = incoming(&message(json!({"photo": [{"file_id": "p"}], "caption": "my cat"})));
    assert_eq!((got.text.as_str(), got.metadata["telegramPhotoFileId"].as_str()), ("my cat", "p"));
}

#[test]
fn a_file_becomes_an_attachment_with_telegrams_metadata() {
    let got = |fields| incoming(&message(fields)).attachment;
    let document = json!({"document": {
        "file_id": "d", "file_name": "a\nreport.pdf", "file_size": 7, "mime_type": "application/pdf",
    }});
    let attachment = got(document).unwrap();
    assert_eq!((attachment.kind, &*attachment.telegram_file_id), (AttachmentKind::Document, "d"));
    assert_eq!(attachment.file_name.as_deref(), Some("areport.pdf"), "control characters are removed");
    assert_eq!(attachment.content_type.as_ref().map(ContentType::as_str), Some("application/pdf"));
    assert_eq!((attachment.size_bytes, attachment.is_pending()), (Some(7), true));

    for (given, kept) in
        [("../../etc/passwd", "passwd"), ("a\\b.txt", "b.txt"), ("cod\u{202e}gpj.exe", "codgpj.exe")]
    {
        let named = got(json!({"document": {"file_id": "d", "file_name": given}})).unwrap();
        assert_eq!(named.file_name.as_deref(), Some(kept));
    }
    assert_eq!(got(json!({"document": {"file_id": "d", "file_name": "x/.."}})).unwrap().file_name, None);

    let bare = got(json!({"voice": {"file_id": "v", "mime_type": "no type", "file_name": " "}})).unwrap();
    assert_eq!((bare.kind, bare.content_type, bare.file_name), (AttachmentKind::Voice, None, None));
    let huge = got(json!({"video": {"file_id": "v", "file_size": 30_000_000}})).unwrap();
    assert!(matches!(huge.state, AttachmentState::Failed { .. }), "it is too large for a bot");
    let without_id = [json!({"photo": [{"width": 1}]}), json!({"audio": {"file_id": "a".repeat(2_000)}})];
    assert!(without_id.into_iter().all(|fields| got(fields).is_none()));
    assert_eq!(got(json!({"text": "hello"})), None);
}

#[test]
fn files_without_text_get_a_readable_name() {
    let cases = [
        (
            json!({"document": {"file_id": "d", "file_name": "report.pdf"}}),
            "[document: report.pdf]",
            "telegramDocumentFileId",
        ),
        (json!({"document": {"file_id": "d"}}), "[document]", "telegramDocumentFileId"),
        (json!({"video": {"file_id": "v"}}), "[video]", "telegramVideoFileId"),
        (
            json!({"audio": {"file_id": "a", "file_name": "song.mp3"}}),
            "[audio: song.mp3]",
            "telegramAudioFileId",
        ),
        (json!({"voice": {"file_id": "o"}}), "[voice]", "telegramVoiceFileId"),
        (
            json!({"document": {"file_id": "d", "file_name": " "}, "caption": " "}),
            "[document]",
            "telegramDocumentFileId",
        ),
    ];
    for (fields, expected, key) in cases {
        let got = incoming(&message(fields));
        assert_eq!(got.text, expected);
        assert!(got.metadata.contains_key(key), "{key} in {:?}", got.metadata);
    }
}

#[test]
fn an_edited_message_is_marked() {
    let update = text("better words");
    let edited = json!({"update_id": 6, "edited_message": update["message"]});
    let got = incoming(&edited);
    assert_eq!((got.text.as_str(), got.metadata["telegramEdited"].as_str()), ("better words", "true"));
}

#[test]
fn replies_and_threads_are_metadata() {
    let got = incoming(&message(
        json!({"text": "yes", "message_thread_id": 3, "reply_to_message": {"message_id": 8}}),
    ));
    assert_eq!(got.metadata["telegramReplyToMessageId"], "8");
    assert_eq!(got.metadata["telegramThreadId"], "3");
    assert!(!got.metadata.contains_key("telegramIsTopicMessage"));
}

#[test]
fn a_reply_to_the_first_message_of_a_topic_is_not_recorded() {
    let topic = json!({"text": "yes", "message_thread_id": 3, "is_topic_message": true, "reply_to_message": {"message_id": 3}});
    let got = incoming(&message(topic));
    assert!(!got.metadata.contains_key("telegramReplyToMessageId"));
    assert_eq!(got.metadata["telegramIsTopicMessage"], "true");
}

#[test]
fn a_missing_chat_type_follows_the_sign_of_the_id() {
    let group = json!({"text": "hi", "chat": {"id": -100_123, "type": "supergroup"}});
    assert_eq!(incoming(&message(group)).origin.chat_type, "supergroup");
    assert_eq!(incoming(&message(json!({"text": "hi", "chat": {"id": -5}}))).origin.chat_type, "group");
    assert_eq!(
        incoming(&message(json!({"text": "hi", "chat": {"id": 5, "type": 1}}))).origin.chat_type,
        "private"
    );
}

#[test]
fn start_with_a_code_is_a_pairing_start() {
    let long = "a".repeat(128);
    for (written, code) in [
        ("/start AbC-12_3".to_owned(), "AbC-12_3"),
        ("/start@my_bot  abcd ".to_owned(), "abcd"),
        ("/start\nabcd\n".to_owned(), "abcd"),
        (format!("/start {long}"), long.as_str()),
    ] {
        let Ingress::PairingStart { code: got, origin } = of(&text(&written)) else { panic!("{written}") };
        assert_eq!((got.as_str(), origin.chat_id, origin.user_id), (code, 99, 99));
    }
}

#[test]
fn start_without_a_usable_code_is_bare_or_malformed() {
    for (written, expected) in [
        ("/start", false),
        ("/start@my_bot", false),
        ("/start  ", false),
        ("/start abc", true),
        ("/start ab cd", true),
        ("/start äöüß", true),
    ] {
        let Ingress::BareStart { malformed, .. } = of(&text(written)) else { panic!("{written}") };
        assert_eq!(malformed, expected, "{written}");
    }
    let too_long = format!("/start {}", "a".repeat(129));
    assert!(matches!(of(&text(&too_long)), Ingress::BareStart { malformed: true, .. }));
}

#[test]
fn only_a_single_stop_is_a_command() {
    for (written, named) in [("/stop", None), ("/stop ", None), ("/stop@my_bot\n", Some("my_bot"))] {
        let Ingress::Stop { by, .. } = of(&text(written)) else { panic!("{written}") };
        assert_eq!(by, StopBy::Command { bot: named.map(str::to_owned) }, "{written}");
    }
    for written in [
        "/stop the press",
        "please /stop",
        "/stopped",
        "/starting abcd",
        "/start@ abcd",
        "/Start abcd",
        " /start abcd",
    ] {
        assert_eq!(incoming(&text(written)).text, written);
    }
}

#[test]
fn a_pressed_button_stops_the_chat_or_the_topic_of_its_draft() {
    let pressed = |fields: Value| json!({"update_id": 4, "stopped_message_generation": fields});
    let chat = json!({"id": 99, "type": "private", "first_name": "U"});
    let Ingress::Stop { origin, by } = of(&pressed(json!({"chat": chat, "draft_id": 7}))) else { panic!() };
    assert_eq!((origin.chat_id, origin.user_id, origin.topic, by), (99, 99, None, StopBy::Button));
    assert!(origin.is_private());
    let topic = pressed(json!({"chat": {"id": -100}, "message_thread_id": 3, "draft_id": 7}));
    let Ingress::Stop { origin, .. } = of(&topic) else { panic!() };
    assert_eq!((origin.chat_type.as_str(), origin.topic), ("group", Some(3)));
    assert_eq!(ignored(&pressed(json!({"draft_id": 7}))), "no_chat");
    assert_eq!(ignored(&pressed(json!([]))), "unsupported_update");
}

#[test]
fn a_command_in_a_caption_is_a_caption() {
    let got = incoming(&message(json!({"photo": [{"file_id": "p"}], "caption": "/start abcd"})));
    assert_eq!(got.text, "/start abcd");
}

#[test]
fn an_unsupported_update_is_ignored_with_its_reason() {
    assert_eq!(ignored(&json!({"update_id": 1, "callback_query": {}})), "unsupported_update");
    assert_eq!(ignored(&json!({"update_id": 1})), "unsupported_update");
    assert_eq!(ignored(&message(json!({"story": {"file_id": "s"}}))), "unsupported_message");
    assert_eq!(ignored(&message(json!({"text": " "}))), "unsupported_message");
    assert_eq!(ignored(&message(json!({"new_chat_members": []}))), "unsupported_message");
    assert_eq!(ignored(&json!({"message": {}})), "no_update_id");
    assert_eq!(ignored(&json!({"update_id": -1, "message": {}})), "no_update_id");
    assert_eq!(ignored(&json!({"update_id": 1, "message": {}})), "no_chat");
    assert_eq!(ignored(&message(json!({"text": "hi", "from": null}))), "no_sender");
    assert_eq!(ignored(&message(json!({"text": "hi", "message_id": "x"}))), "no_message_id");
}

#[test]
fn a_body_that_is_not_update_json_is_malformed() {
    for body in [&b""[..], b"{", b"[]", b"7", b"\"x\"", b"\xff\xfe", b"null"] {
        assert_eq!(read(&bot(), body), Ingress::Ignored { reason: "malformed_json" }, "{body:?}");
    }
    let deep = "[".repeat(100_000);
    assert_eq!(read(&bot(), deep.as_bytes()), Ingress::Ignored { reason: "malformed_json" });
}

#[test]
fn a_field_of_an_unexpected_type_does_not_lose_the_message() {
    let strange = json!({
        "text": "still here", "caption": 7, "photo": {"not": "a list"}, "video": [], "audio": 1, "voice": null,
        "document": "x", "reply_to_message": [1], "message_thread_id": "three", "is_topic_message": "yes",
        "from": {"id": 99, "username": 5}, "brand_new_field": {"a": [1, 2]},
    });
    let got = incoming(&message(strange));
    assert_eq!((got.text.as_str(), got.origin.username), ("still here", None));
    assert!(!got.metadata.contains_key("telegramMediaType"));
}

#[test]
fn a_lone_surrogate_in_an_update_becomes_the_replacement_character_also_in_unknown_fields() {
    let update = br#"{"update_id":1,"new":"\ud83d","message":{"message_id":1,"text":"x \ud83d","chat":{"id":1},"from":{"id":1,"first_name":"\ude00"}}}"#;
    let Ingress::Message(message) = read(&bot(), update) else { panic!("the message is lost") };
    assert_eq!(message.text, "x \u{fffd}");
    let raw: Value = serde_json::from_str(&message.raw.unwrap()).unwrap();
    assert_eq!(
        (&raw["new"], &raw["message"]["from"]["first_name"]),
        (&json!("\u{fffd}"), &json!("\u{fffd}"))
    );
    let not_utf8 = b"{\"update_id\":1,\"message\":{\"message_id\":1,\"text\":\"x \xff\",\"chat\":{\"id\":1},\"from\":{\"id\":1}}}";
    assert!(matches!(read(&bot(), not_utf8), Ingress::Message(m) if m.text == "x \u{fffd}"));
}

#[test]
fn a_large_update_keeps_its_text_and_omits_its_original_json() {
    let replied = |chars: usize| json!({"text": "yes", "reply_to_message": {"message_id": 8, "rich": "r".repeat(chars)}});
    for chars in [300_000, 1_200_000] {
        let got = incoming(&message(replied(chars)));
        assert_eq!((got.text.as_str(), got.raw.as_deref()), ("yes", None));
        assert_eq!(got.metadata["telegramRawUpdate"], "omitted");
        assert_eq!(got.metadata["telegramReplyToMessageId"], "8");
    }
    let small = incoming(&message(replied(15_000)));
    assert!(small.raw.is_some() && !small.metadata.contains_key("telegramRawUpdate"));
}

#[test]
fn a_duplicate_field_does_not_lose_the_message() {
    let twice = br#"{"update_id":1,"update_id":2,"message":{"message_id":1,"text":"a","text":"b","chat":{"id":1,"type":"private"},"from":{"id":1}}}"#;
    assert!(matches!(read(&bot(), twice), Ingress::Message(m) if m.text == "b" && m.origin.update_id == 2));
}

/// Any JSON is either parsed or ignored, and never causes a panic: every field is replaced by every type of
/// value.
#[test]
fn no_update_causes_a_panic() {
    let values = [
        json!(null),
        json!(1),
        json!(-1.5),
        json!("x"),
        json!([]),
        json!({}),
        json!([{"file_id": 1}]),
        json!(true),
    ];
    let fields = [
        "text",
        "caption",
        "photo",
        "video",
        "document",
        "from",
        "chat",
        "reply_to_message",
        "message_id",
        "message_thread_id",
    ];
    for field in fields {
        for value in &values {
            let _ = of(&message(json!({ field: value })));
        }
    }
}
