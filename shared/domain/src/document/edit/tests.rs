use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

fn path(path: &str) -> DocumentPath {
    DocumentPath::parse(path).unwrap()
}

fn edit(at: &str, text: Option<&str>) -> Edit {
    Edit { path: path(at), text: text.map(str::to_owned), owner: None }
}

fn run_edit(text: &str, base: Option<&str>) -> RunEdit {
    RunEdit { path: path("MEMORY.md"), text: text.to_owned(), base: base.map(|base| sha256(base.as_bytes())) }
}

/// The change of a document that did not exist.
fn created(at: &str, text: &str) -> Change {
    apply(&SetHead::default(), None, edit(at, Some(text)), "key:a", NOW).unwrap().unwrap()
}

fn decide(change: &Change, inherited: Option<&Document>, edit: RunEdit) -> RunEditResult {
    apply_run_edit(&change.head, change.versions.last(), inherited, edit, "/x", "worker:w", NOW).unwrap()
}

#[test]
fn every_change_of_a_document_is_a_version_and_an_equal_text_is_none() {
    let first = created("SOUL.md", "be kind");
    let document = first.document().clone();
    assert_eq!((document.version, document.owner, document.size_bytes()), (1, Owner::Operator, 7));
    assert_eq!((first.head.revision, first.head.size_bytes, first.head.paths), (1, 7, 1));
    let again = apply(&first.head, Some(&document), edit("SOUL.md", Some("be kind")), "key:b", NOW).unwrap();
    assert_eq!(again, None);
    let deleted = apply(&first.head, Some(&document), edit("SOUL.md", None), "key:b", NOW).unwrap().unwrap();
    assert_eq!((deleted.document().version, deleted.document().content.as_ref()), (2, None));
    assert_eq!((deleted.head.size_bytes, deleted.head.paths), (0, 1));
    let gone = deleted.document();
    assert_eq!(apply(&deleted.head, Some(gone), edit("SOUL.md", None), "key:b", NOW).unwrap(), None);
    let back = apply(&deleted.head, Some(gone), edit("SOUL.md", Some("x")), "key:b", NOW).unwrap().unwrap();
    assert_eq!((back.document().version, back.head.size_bytes, back.head.paths), (3, 1, 1));
}

#[test]
fn a_new_owner_alone_is_a_change_and_stays_until_another_is_named() {
    let first = created("USER.md", "ann");
    let wanted = Edit { owner: Some(Owner::Operator), ..edit("USER.md", Some("ann")) };
    let change = apply(&first.head, Some(first.document()), wanted, "key:a", NOW).unwrap().unwrap();
    assert_eq!((change.document().version, change.document().owner), (2, Owner::Operator));
    let next = apply(&change.head, Some(change.document()), edit("USER.md", Some("bob")), "key:a", NOW);
    assert_eq!(next.unwrap().unwrap().document().owner, Owner::Operator);
}

#[test]
fn a_text_over_a_limit_is_refused_with_its_field() {
    let refused = |head: SetHead, text: &str| {
        apply(&head, None, edit("SOUL.md", Some(text)), "key:a", NOW).unwrap_err()
    };
    let long = "x".repeat(MAX_DOCUMENT_BYTES + 1);
    let full = SetHead { size_bytes: MAX_SET_BYTES, ..SetHead::default() };
    let many = SetHead { paths: MAX_DOCUMENTS, ..SetHead::default() };
    for (refusal, code, words) in [
        (refused(SetHead::default(), &long), Code::PayloadTooLarge, "65537"),
        (refused(full, "x"), Code::PayloadTooLarge, "524289"),
        (refused(many, "x"), Code::PayloadTooLarge, "1000 documents"),
        (refused(SetHead::default(), "a\u{0}b"), Code::InvalidField, "byte 1"),
    ] {
        assert_eq!((refusal.code, refusal.pointer.as_deref()), (code, Some("/content")));
        assert!(refusal.detail.contains(words), "{}", refusal.detail);
    }
    let largest = "x".repeat(MAX_DOCUMENT_BYTES);
    assert!(apply(&SetHead::default(), None, edit("SOUL.md", Some(&largest)), "key:a", NOW).is_ok());
}

#[test]
fn a_full_set_accepts_smaller_texts() {
    let first = created("SOUL.md", "0123456789");
    let full = SetHead { size_bytes: MAX_SET_BYTES + 5, ..first.head };
    let smaller = apply(&full, Some(first.document()), edit("SOUL.md", Some("01234567")), "key:a", NOW);
    assert_eq!(smaller.unwrap().unwrap().head.size_bytes, MAX_SET_BYTES + 3);
}

#[test]
fn only_the_newest_versions_are_kept() {
    let first = created("SOUL.md", "a");
    let at = |version| Document { version, ..first.document().clone() };
    let next = |version| {
        let change = apply(&first.head, Some(&at(version)), edit("SOUL.md", Some("b")), "key:a", NOW);
        change.unwrap().unwrap().forgotten
    };
    assert_eq!(next(MAX_VERSIONS - 1), [] as [u64; 0]);
    assert_eq!(next(MAX_VERSIONS), [1]);
}

#[test]
fn an_edit_of_a_run_is_stored_when_its_base_is_current() {
    let seed = created("MEMORY.md", "seed");
    let nothing = Change { versions: vec![], forgotten: vec![], head: SetHead::default() };
    let stored = decide(&nothing, Some(seed.document()), run_edit("seed and more", Some("seed")));
    let RunEditResult::Stored(stored) = stored else { panic!("{stored:?}") };
    assert_eq!((stored.document().version, &*stored.document().updated_by), (1, "worker:w"));
    let again = decide(&stored, Some(seed.document()), run_edit("seed and more", Some("seed")));
    assert_eq!(again, RunEditResult::Unchanged);
    let next = decide(&stored, Some(seed.document()), run_edit("yet more", Some("seed and more")));
    assert!(matches!(next, RunEditResult::Stored(_)), "{next:?}");
}

#[test]
fn an_edit_beside_a_run_stays_and_the_text_of_the_run_becomes_a_version() {
    let before = created("MEMORY.md", "before");
    let edited = edit("MEMORY.md", Some("by the operator"));
    let edited = apply(&before.head, Some(before.document()), edited, "key:a", NOW).unwrap().unwrap();
    let conflict = decide(&edited, None, run_edit("by the agent", Some("before")));
    let RunEditResult::Conflict(conflict) = conflict else { panic!("{conflict:?}") };
    let texts: Vec<_> = conflict.versions.iter().map(|version| version.text.as_deref()).collect();
    assert_eq!(texts, [Some("by the agent"), Some("by the operator")]);
    assert_eq!((conflict.document().version, &*conflict.document().updated_by), (4, "key:a"));
    assert_eq!(conflict.head.size_bytes, "by the operator".len() as u64);

    let deleted = apply(&before.head, Some(before.document()), edit("MEMORY.md", None), "user:u", NOW);
    let deleted = deleted.unwrap().unwrap();
    let conflict = decide(&deleted, None, run_edit("by the agent", Some("before")));
    let RunEditResult::Conflict(conflict) = conflict else { panic!("{conflict:?}") };
    assert_eq!(conflict.document().content, None, "a deletion stays, too");
    let new = decide(&deleted, None, run_edit("new", None));
    assert!(matches!(new, RunEditResult::Stored(_)), "the agent begins again: {new:?}");
}

#[test]
fn a_run_cannot_store_a_document_of_the_operator() {
    let wanted = Edit { owner: Some(Owner::Operator), ..edit("MEMORY.md", Some("fixed")) };
    let fixed = apply(&SetHead::default(), None, wanted, "key:a", NOW).unwrap().unwrap();
    assert_eq!(decide(&fixed, None, run_edit("mine", Some("fixed"))), RunEditResult::OperatorOwned);
    let soul = RunEdit { path: path("SOUL.md"), text: "mine".to_owned(), base: None };
    let nothing = Change { versions: vec![], forgotten: vec![], head: SetHead::default() };
    assert_eq!(decide(&nothing, None, soul.clone()), RunEditResult::OperatorOwned);
    let mut of_agent = created("SOUL.md", "seed").document().clone();
    of_agent.owner = Owner::Agent;
    assert_eq!(
        decide(&nothing, Some(&of_agent), soul),
        RunEditResult::OperatorOwned,
        "it is of all conversations"
    );
}
