//! Ids: parsing returns the parts an id was built from, and no text makes the parser panic.

use af_domain::ids::{ConversationId, ConversationKey, Fence, LeaseId, LeaseParts, MessageId, WorkerId};
use af_domain::time::Timestamp;
use proptest::prelude::*;

use crate::config;

fn parts() -> impl Strategy<Value = LeaseParts> {
    let key = prop::collection::vec(prop::sample::select(b"abcdefghijklmnopqrstuvwxyz234567".to_vec()), 26);
    (key, any::<u64>(), any::<u64>(), any::<u32>(), any::<u64>(), any::<u64>()).prop_map(
        |(key, fence, first_fence, attempt, claimed_at, nonce)| LeaseParts {
            conversation: ConversationKey::parse(String::from_utf8(key).unwrap()).unwrap(),
            fence: Fence(fence),
            first_fence: Fence(first_fence),
            attempt,
            claimed_at: Timestamp::from_millis(claimed_at),
            nonce,
        },
    )
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_lease_id_returns_the_parts_it_was_built_from(parts in parts()) {
        let id = LeaseId::of(&parts);
        prop_assert_eq!(&id.parts(), &parts);
        prop_assert_eq!(LeaseId::parse(id.as_str()).unwrap(), id);
    }

    #[test]
    fn lease_ids_differ_if_any_part_differs(one in parts(), other in parts()) {
        prop_assert_eq!(LeaseId::of(&one) == LeaseId::of(&other), one == other);
    }

    #[test]
    fn any_text_is_either_a_valid_id_or_rejected(text in "[a-z2-7]{0,30}[.0-9a-f+]{0,60}|.{0,300}") {
        if let Ok(id) = LeaseId::parse(text.as_str()) {
            prop_assert_eq!(LeaseId::of(&id.parts()).parts(), id.parts());
        }
        for parsed in [ConversationId::parse(text.as_str()).is_ok(), MessageId::parse(text.as_str()).is_ok()] {
            prop_assert!(!parsed || (1..=256).contains(&text.chars().count()));
        }
        prop_assert!(WorkerId::parse(text.as_str()).is_err() || !text.contains(['/', '\\', ' ']));
    }
}
