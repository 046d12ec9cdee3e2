use af_api::pages::{Limit, Page};
use af_http::CursorKey;

#[test]
fn a_page_has_a_cursor_only_if_there_is_a_next_page() {
    let page = Page::new(vec![1, 2], Some("c".to_owned())).map(|n| n * 10);
    assert_eq!(serde_json::to_string(&page).unwrap(), r#"{"items":[10,20],"nextCursor":"c"}"#);
    let last = Page::<u8>::new(vec![], None);
    assert_eq!(serde_json::to_string(&last).unwrap(), r#"{"items":[]}"#);
}

#[test]
fn a_limit_is_read_from_json_too() {
    assert_eq!(serde_json::from_str::<Limit>("7").unwrap().get(), 7);
    assert_eq!(serde_json::from_str::<Limit>("\"7\"").unwrap().get(), 7);
    assert!(serde_json::from_str::<Limit>("201").is_err());
    assert!(serde_json::from_str::<Limit>("-1").is_err());
    assert_eq!(Limit::default().get(), 50);
}

#[test]
fn an_opened_cursor_has_its_sealed_content() {
    let key = CursorKey::new(b"key");
    for position in ["", "messages|C#abc|M#1", "ünal\n\0"] {
        let cursor = key.seal(position);
        assert!(cursor.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'), "{cursor}");
        assert_eq!(key.open(&cursor).unwrap(), position);
    }
}

#[test]
fn a_cursor_with_another_key_or_a_change_is_refused() {
    let key = CursorKey::new(b"key");
    let cursor = key.seal("messages|C#abc");
    assert!(CursorKey::new(b"another").open(&cursor).is_err());
    for at in 0..cursor.len() {
        let mut changed = cursor.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        // The last character may have bits that decoding ignores or refuses. The cursor never opens with other content.
        if let Ok(position) = key.open(&changed) {
            assert_eq!(position, "messages|C#abc");
        }
    }
    let longest = "A".repeat(5_000);
    for made_up in ["", "AAAA", "not base64!", &cursor[..20], &format!("{cursor}="), &longest] {
        let refusal = key.open(made_up).unwrap_err();
        assert_eq!(refusal.pointer.as_deref(), Some("/cursor"));
    }
}

#[test]
fn a_cursor_is_valid_for_one_list_only() {
    let key = CursorKey::new(b"key");
    let cursor = key.seal_in("queue status=queued", "7");
    assert_eq!(key.open_in("queue status=queued", &cursor).unwrap(), "7");
    for other in ["queue", "queue status=queued7", "", "agents"] {
        let refusal = key.open_in(other, &cursor).unwrap_err();
        assert_eq!(refusal.pointer.as_deref(), Some("/cursor"), "{other}");
    }
}

#[test]
fn a_cursor_key_is_redacted() {
    assert_eq!(format!("{:?}", CursorKey::new(b"key")), "CursorKey(..)");
}
