//! Tests of `read`.

use af_domain::attachment::{AttachmentKind, AttachmentState};
use af_domain::ids::ContentType;
use serde_json::json;

use super::*;

fn bot() -> BotIdentity {
    BotIdentity::parse("4242").unwrap()
}

fn of(value: &Value) -> Ingress {
    read(&bot(), value.to_string().as_bytes())
}

/// An update with a message in a private chat, with `fields` merged into the message.
fn message(fields: Value) -> Value {
    let mut message = json!({
        "message_id": 11, "date": 1_700_000_000,
        "from": {"id": 99, "is_bot": false, "first_name": "Ada", "username": "ada"},
        "chat": {"id": 99, "type": "private", "first_name": "Ada"},
    });
    merge(&mut message, fields);
    json!({"update_id": 5, "message": message})
}

fn merge(into: &mut Value, fields: Value) {
    let Value::Object(fields) = fields else { panic!("fields are an object") };
    for (key, value) in fields {
        into[key.as_str()] = value;
    }
}

fn text(text: &str) -> Value {
    message(json!({"text": text}))
}

fn incoming(value: &Value) -> IncomingMessage {
    match of(value) {
        Ingress::Message(message) => message,
        other => panic!("{other:?}"),
    }
}

fn ignored(value: &Value) -> &'static str {
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
    for written in ["/stop", "/stop ", "/stop@my_bot"] {
        assert!(matches!(of(&text(written)), Ingress::Stop { .. }), "{written}");
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

#[test]
fn every_kind_of_content_becomes_readable_text() {
    let location = json!({"latitude": 45.4, "longitude": 9.2});
    for (fields, expected) in [
        (json!({"animation": {"file_id": "a"}, "document": {"file_id": "a"}}), "[animation]"),
        (json!({"video_note": {"file_id": "n"}}), "[video note]"),
        (json!({"sticker": {"file_id": "s", "emoji": "👍"}}), "[sticker 👍]"),
        (json!({"location": location}), "[location 45.4, 9.2]"),
        (
            json!({"venue": {"title": "Duomo", "address": "Piazza\n1", "location": location}, "location": location}),
            "[venue Duomo, Piazza 1, 45.4, 9.2]",
        ),
        (json!({"contact": {"first_name": "Bob", "phone_number": "+39 1"}}), "[contact Bob +39 1]"),
        (
            json!({"poll": {"question": "Lunch?", "options": [{"text": "yes"}, {"text": "no"}, 7]}}),
            "[poll Lunch? yes / no]",
        ),
        (json!({"dice": {"emoji": "🎲", "value": 4}}), "[dice 🎲 4]"),
        (json!({"location": {"latitude": "north"}}), "[location]"),
    ] {
        let got = incoming(&message(fields));
        assert_eq!((got.text.as_str(), got.is_written), (expected, false));
    }
    assert!(incoming(&text("hello")).is_written);
    for fields in [json!({"story": {"id": 1}}), json!({"new_chat_members": []}), json!({"poll": 7})] {
        assert_eq!(ignored(&message(fields)), "unsupported_message");
    }
}

#[test]
fn animations_video_notes_and_readable_stickers_are_attachments() {
    let kind = |fields| incoming(&message(fields)).attachment.map(|a| a.kind);
    let animation = json!({"animation": {"file_id": "a"}, "document": {"file_id": "a"}});
    assert_eq!(kind(animation), Some(AttachmentKind::Animation));
    assert_eq!(kind(json!({"video_note": {"file_id": "n"}})), Some(AttachmentKind::VideoNote));
    assert_eq!(kind(json!({"sticker": {"file_id": "s"}})), Some(AttachmentKind::Sticker));
    assert_eq!(kind(json!({"sticker": {"file_id": "s", "is_animated": true}})), None);
    let got = incoming(&message(json!({"sticker": {"file_id": "s", "file_unique_id": "u"}})));
    assert_eq!((&*got.metadata["telegramStickerFileId"], &*got.metadata[FILE_UNIQUE_ID]), ("s", "u"));
}

#[test]
fn the_text_of_a_replied_message_or_its_quote_is_metadata() {
    let reply = |fields| incoming(&message(fields)).metadata.get("telegramReplyText").cloned();
    let replied = |fields: Value| {
        let mut replied = json!({"message_id": 8});
        merge(&mut replied, fields);
        json!({"text": "yes", "reply_to_message": replied})
    };
    assert_eq!(reply(replied(json!({"text": "tea?"}))).as_deref(), Some("tea?"));
    assert_eq!(reply(replied(json!({"photo": [{"file_id": "p"}]}))).as_deref(), Some("[photo]"));
    assert_eq!(reply(replied(json!({"text": "ü".repeat(2_000)}))), Some("ü".repeat(1_000)));
    let mut quoting = replied(json!({"text": "tea or coffee?"}));
    quoting["quote"] = json!({"text": "coffee", "position": 7});
    assert_eq!(reply(quoting).as_deref(), Some("coffee"));
    let other_chat = json!({"text": "yes", "external_reply": {}, "quote": {"text": "from elsewhere"}});
    assert_eq!(reply(other_chat).as_deref(), Some("from elsewhere"));
    assert_eq!(reply(json!({"text": "yes"})), None);
}

#[test]
fn a_message_for_a_chat_has_the_identity_of_the_chat() {
    let group = json!({"id": -100_5, "type": "supergroup", "title": "Ops"});
    let from = |id| json!({"id": id, "is_bot": true, "first_name": "Group", "username": "GroupAnonymousBot"});
    let admin = incoming(&message(
        json!({"text": "hi", "chat": group, "from": from(1_087_968_824), "sender_chat": group}),
    ));
    assert_eq!((admin.origin.user_id, admin.author.as_str()), (-100_5, "Ops (id -1005)"));
    assert_eq!(admin.metadata["telegramSenderChatId"], "-1005");
    let channel = json!({"id": -100_9, "type": "channel", "title": "News", "username": "news"});
    let post = incoming(&message(
        json!({"text": "hi", "chat": group, "from": from(136_817_688), "sender_chat": channel}),
    ));
    assert_eq!((post.origin.user_id, post.author.as_str()), (-100_9, "News (@news)"));
    assert_eq!(incoming(&text("hi")).author, "Ada (@ada)");
}

#[test]
fn a_group_message_is_for_the_bot_if_it_mentions_replies_or_commands() {
    let is_for_bot = |fields| incoming(&message(fields)).is_for_bot("My_Bot");
    let of_bot = json!({"message_id": 8, "from": {"id": 4242}, "text": "?"});
    let mention = json!([{"type": "text_mention", "offset": 0, "length": 3, "user": {"id": 4242}}]);
    for fields in [
        json!({"text": "hello @my_bot!"}),
        json!({"photo": [{"file_id": "p"}], "caption": "@MY_BOT look"}),
        json!({"text": "/help"}),
        json!({"text": "/help@my_bot me"}),
        json!({"text": "no", "reply_to_message": of_bot}),
        json!({"text": "bot, help", "entities": mention}),
    ] {
        assert!(is_for_bot(fields.clone()), "{fields}");
    }
    for fields in [
        json!({"text": "hello my_bot"}),
        json!({"text": "hello @my_bot2"}),
        json!({"text": "mail me@my_bot"}),
        json!({"text": "/help@other_bot"}),
        json!({"text": "// no command"}),
        json!({"text": "no", "reply_to_message": {"message_id": 8, "from": {"id": 7}}}),
        json!({"text": "no", "message_thread_id": 8, "is_topic_message": true, "reply_to_message": of_bot}),
    ] {
        assert!(!is_for_bot(fields.clone()), "{fields}");
    }
}

#[test]
fn both_messages_of_a_migration_name_both_chats() {
    let group = json!({"id": -4_001, "type": "group"});
    let supergroup = json!({"id": -100_77, "type": "supergroup"});
    let expected = Ingress::Migrated { from: -4_001, to: -100_77 };
    assert_eq!(of(&message(json!({"chat": group, "migrate_to_chat_id": -100_77}))), expected);
    assert_eq!(of(&message(json!({"chat": supergroup, "migrate_from_chat_id": -4_001}))), expected);
}

#[test]
fn an_edit_has_its_time_and_no_command_or_moving_location() {
    let edited = |fields| json!({"update_id": 6, "edited_message": message(fields)["message"]});
    let got = incoming(&edited(json!({"text": "b", "edit_date": 7})));
    assert_eq!((got.edited_at, got.metadata[EDIT_DATE].as_str()), (Some(7), "7"));
    assert_eq!(incoming(&edited(json!({"text": "b"}))).edited_at, Some(0));
    assert_eq!(ignored(&edited(json!({"text": "/stop"}))), "edited_command");
    assert_eq!(ignored(&edited(json!({"location": {"latitude": 1, "longitude": 2}}))), "edited_location");
}

#[test]
fn albums_and_topics_are_parsed() {
    let got = incoming(&message(json!({
        "photo": [{"file_id": "p"}], "media_group_id": "13", "message_thread_id": 4, "is_topic_message": true,
    })));
    assert_eq!((got.album.as_deref(), got.origin.topic), (Some("13"), Some(4)));
    let chain = incoming(&message(json!({"text": "a", "media_group_id": "a b", "message_thread_id": 4})));
    assert_eq!((chain.album, chain.origin.topic), (None, None));
}
