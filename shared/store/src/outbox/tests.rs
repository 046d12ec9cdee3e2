use super::*;

#[test]
fn an_entry_survives_being_stored() {
    let entry = Entry {
        id: "tg:7:1".into(),
        content: Content::Reply(MessageId::parse("tg:7:1").unwrap()),
        user: Some(ConsumerUserId::parse("ann").unwrap()),
        topic: Some(3),
        moved_to: Some(-100),
        queued_at: Timestamp::from_millis(9),
        waits: 2,
        parts: vec![Part::Sent { message_id: 5 }, Part::Uncertain, Part::Failed],
    };
    let item = Item::new();
    let reader = Reader::of(&item);
    assert_eq!(decode(&reader, &encode(&entry)).unwrap(), entry);
    let notice = Entry { content: Content::Notice("hi".into()), user: None, parts: vec![], ..entry };
    assert_eq!(decode(&reader, &encode(&notice)).unwrap(), notice);
    assert!(decode(&reader, "{\"id\":\"x\",\"at\":1}").is_err());
}

#[test]
fn a_delivery_survives_being_stored() {
    let delivery = Delivery {
        state: DeliveryState::Uncertain,
        chat: Chat::parse("7:-100").unwrap(),
        reason: Some("why".into()),
        parts: vec![Part::Sent { message_id: 5 }, Part::Uncertain],
    };
    let item = Writer::default().put("dl", encode_delivery(&delivery)).build();
    assert_eq!(delivery_from(&Reader::of(&item)).unwrap(), Some(delivery));
    assert_eq!(delivery_from(&Reader::of(&Item::new())).unwrap(), None);
}
