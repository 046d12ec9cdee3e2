//! Documents: the head of a set counts what the set has, and a worker that follows its actions agrees with the deployment.

use std::collections::BTreeMap;

use af_domain::document::{Action, Document, Edit, Owner, SetHead, action, apply};
use af_domain::ids::DocumentPath;
use af_domain::skill::bundle::sha256;
use af_domain::time::Timestamp;
use proptest::prelude::*;

use crate::config;

const PATHS: [&str; 4] = ["SOUL.md", "USER.md", "MEMORY.md", "memory/2026-11-30.md"];

fn edits() -> impl Strategy<Value = Vec<(usize, Option<String>)>> {
    prop::collection::vec((0..PATHS.len(), prop::option::of("[a-c]{0,3}")), 1..40)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_head_counts_the_documents_and_versions_only_grow(edits in edits()) {
        let (mut head, mut documents) = (SetHead::default(), BTreeMap::<&str, Document>::new());
        for (at, text) in edits {
            let path = DocumentPath::parse(PATHS[at]).unwrap();
            let edit = Edit { path, text: text.clone(), owner: None };
            let before = documents.get(PATHS[at]);
            let change = apply(&head, before, edit, "key:a", Timestamp::default()).unwrap();
            let same = before.and_then(|b| b.content.as_ref()).map(|c| c.sha256.clone())
                == text.as_ref().map(|t| sha256(t.as_bytes()));
            prop_assert_eq!(change.is_none(), same);
            let Some(change) = change else { continue };
            prop_assert_eq!(change.head.revision, head.revision + 1);
            prop_assert_eq!(change.document().version, before.map_or(0, |b| b.version) + 1);
            head = change.head;
            documents.insert(PATHS[at], change.document().clone());
            prop_assert_eq!(head.paths, documents.len() as u64);
            prop_assert_eq!(head.size_bytes, documents.values().map(Document::size_bytes).sum::<u64>());
        }
    }

    /// Whatever is in the workspace, the text of an operator is there after the actions, and no edit of the agent to its own
    /// document is lost.
    #[test]
    fn actions_keep_the_agents_edits_and_restore_the_operators(
        is_operators in any::<bool>(),
        wanted in prop::option::of(0..3_u8),
        on_disk in prop::option::of(0..3_u8),
        synced in prop::option::of(0..3_u8),
    ) {
        let digest = |text: &Option<u8>| text.map(|text| sha256(&[text]));
        let (wanted, on_disk, synced) = (digest(&wanted), digest(&on_disk), digest(&synced));
        let owner = if is_operators { Owner::Operator } else { Owner::Agent };
        let decided = action(wanted.as_ref().map(|w| (owner, w)), on_disk.as_ref(), synced.as_ref());
        let after = match decided {
            Action::Keep => on_disk.clone(),
            Action::Write | Action::PutBack => wanted.clone(),
            Action::Remove => None,
        };
        let is_edited = on_disk.is_some() && on_disk != synced && on_disk != wanted;
        if is_edited && (owner == Owner::Agent || wanted.is_none()) {
            prop_assert_eq!(&after, &on_disk, "an edit of the agent stays");
        } else {
            prop_assert_eq!(&after, &wanted, "otherwise the workspace agrees with the deployment");
        }
        prop_assert_eq!(decided == Action::PutBack, is_edited && owner == Owner::Operator && wanted.is_some());
    }
}
