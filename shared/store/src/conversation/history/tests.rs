use super::*;

fn filed(fence: u64, first: u64) -> EntryKey {
    let conversation = ConversationKey::parse("abcdefghijklmnopqrstuvwx23").unwrap();
    EntryKey {
        place: HistoryCursor { conversation, fence: Fence(fence), place: "000000".to_owned() },
        first: Fence(first),
    }
}

/// Returns the fences of the entries that a reader returns with pages of `page` entries. Its position is
/// converted to text between pages.
fn shown(entries: &[(u64, u64)], page: usize) -> Vec<u64> {
    let (mut shown, mut reached) = (Vec::new(), None::<ReadPosition>);
    for stretch in entries.chunks(page) {
        reached = reached.map(|r| ReadPosition::read(&r.to_string()).unwrap());
        for (fence, first) in stretch {
            let filed = filed(*fence, *first);
            if !reached.as_ref().is_some_and(|r| filed.is_replaced(r)) {
                shown.push(*fence);
            }
            reached = Some(filed.advance(reached));
        }
    }
    shown
}

#[test]
fn replaced_entries_are_skipped_regardless_of_page_ends() {
    // Message 1 is overtaken by 2 and by 4. Message 3 fails, too, and its second attempt writes no
    // entries.
    let entries = [(7, 1), (7, 1), (6, 6), (5, 1), (4, 4), (3, 3), (2, 2), (1, 1), (1, 1)];
    for page in 1..=entries.len() {
        assert_eq!(shown(&entries, page), [7, 7, 6, 4, 3, 2], "{page} a page");
    }
}

#[test]
fn a_position_names_a_limited_number_of_messages_and_drops_the_oldest() {
    let retried = |n: u64| filed(2_000 - n, 1_000 - n);
    let reached = (0..600).fold(None, |reached, n| Some(retried(n).advance(reached))).unwrap();
    assert_eq!(reached.replaced.len(), MAX_REPLACED);
    assert!(filed(1_000, 1_000).is_replaced(&reached));
    assert!(!filed(402, 402).is_replaced(&reached));
}

#[test]
fn a_position_keeps_only_the_messages_that_may_still_appear() {
    let reached = filed(5, 2).advance(Some(filed(9, 7).advance(None)));
    assert_eq!(reached.to_string(), "5|000000|2");
    let reached = filed(4, 4).advance(Some(reached));
    assert_eq!(reached.to_string(), "4|000000|4|2");
    assert_eq!(filed(1, 1).advance(Some(reached)).to_string(), "1|000000|1");
}
