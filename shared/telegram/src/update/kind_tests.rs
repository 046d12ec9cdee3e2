//! Tests of `read`: the kinds of content, and what a message says of its sender and its place.

use af_domain::attachment::AttachmentKind;
use serde_json::json;

use super::tests::{ignored, incoming, merge, message, of, text};
use super::*;

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
        (json!({"location": {"latitude": 1e300, "longitude": 0}}), "[location]"),
        (json!({"location": {"latitude": 1e-300, "longitude": 9.123_456_789}}), "[location 0, 9.123457]"),
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
    let group = json!({"id": -1_005, "type": "supergroup", "title": "Ops"});
    let from = |id| json!({"id": id, "is_bot": true, "first_name": "Group", "username": "GroupAnonymousBot"});
    let admin = incoming(&message(
        json!({"text": "hi", "chat": group, "from": from(1_087_968_824), "sender_chat": group}),
    ));
    assert_eq!((admin.origin.user_id, admin.author.as_str()), (-1_005, "Ops (id -1005)"));
    assert_eq!(admin.metadata["telegramSenderChatId"], "-1005");
    let channel = json!({"id": -1_009, "type": "channel", "title": "News", "username": "news"});
    let post = incoming(&message(
        json!({"text": "hi", "chat": group, "from": from(136_817_688), "sender_chat": channel}),
    ));
    assert_eq!((post.origin.user_id, post.author.as_str()), (-1_009, "News (@news)"));
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
    let supergroup = json!({"id": -10_077, "type": "supergroup"});
    let expected = Ingress::Migrated { from: -4_001, to: -10_077 };
    assert_eq!(of(&message(json!({"chat": group, "migrate_to_chat_id": -10_077}))), expected);
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

#[test]
fn an_update_about_a_managed_bot_names_the_bot_and_its_owner() {
    let parsed = |managed_bot: Value| {
        let update = json!({"update_id": 5, "managed_bot": managed_bot});
        read(&BotIdentity::parse("7").unwrap(), update.to_string().as_bytes())
    };
    let user = json!({"id": 42, "is_bot": false, "first_name": "Ann"});
    let named = parsed(json!({"user": user, "bot": {"id": 8, "is_bot": true, "username": "Ann_bot"}}));
    let Ingress::ManagedBot { update_id, bot } = named else { panic!("{named:?}") };
    assert_eq!((update_id, bot.identity.as_str(), bot.creator.as_str()), (5, "8", "42"));
    assert_eq!(bot.username, "Ann_bot");
    for bad in [
        json!({}),
        json!({"user": user}),
        json!({"user": user, "bot": {"username": "x_bot"}}),
        json!({"user": {"id": -5}, "bot": {"id": 8}}),
        json!({"user": user, "bot": {"id": "8"}}),
        json!({"user": [], "bot": []}),
    ] {
        let ignored = parsed(bad.clone());
        assert!(matches!(ignored, Ingress::Ignored { reason: "no_managed_bot" }), "{bad}: {ignored:?}");
    }
    assert!(matches!(parsed(json!(7)), Ingress::Ignored { reason: "unsupported_update" }));
}
