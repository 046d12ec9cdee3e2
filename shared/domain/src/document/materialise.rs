//! What a worker does with a document in its workspace, given what is there.

use std::collections::BTreeMap;

use super::Owner;
use crate::ids::{DocumentPath, Sha256Hex};

/// The digest of each document when the workspace and the deployment had the same text the last time.
pub type Synced = BTreeMap<DocumentPath, Sha256Hex>;

/// What a worker does with a document before a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The file stays as it is.
    Keep,
    /// The text of the deployment is written.
    Write,
    /// The text of the deployment is written over an edit of the agent, which is reported.
    PutBack,
    /// The file is removed, because the document is deleted and the agent has not edited it.
    Remove,
}

/// Decides on one document. `wanted` is the document of the deployment, `on_disk` the digest of the file, and `synced` the
/// digest when both had the same text the last time.
pub fn action(
    wanted: Option<(Owner, &Sha256Hex)>,
    on_disk: Option<&Sha256Hex>,
    synced: Option<&Sha256Hex>,
) -> Action {
    let is_edited = on_disk.is_some() && on_disk != synced;
    match wanted {
        None if on_disk.is_some() && !is_edited => Action::Remove,
        None => Action::Keep,
        Some((_, wanted)) if on_disk == Some(wanted) => Action::Keep,
        Some(_) if !is_edited => Action::Write,
        Some((Owner::Operator, _)) => Action::PutBack,
        // The agent has edited it, and sends the edit after the run.
        Some((Owner::Agent, _)) => Action::Keep,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::skill::bundle::sha256;

    #[test]
    fn an_edit_of_the_agent_is_taken_back_only_if_the_operator_owns_the_document() {
        let [new, old, edited] = ["new", "old", "edited"].map(|text| sha256(text.as_bytes()));
        for owner in Owner::ALL {
            let action = |on_disk, synced| action(Some((owner, &new)), on_disk, synced);
            assert_eq!(action(None, None), Action::Write, "it is seeded");
            assert_eq!(action(None, Some(&old)), Action::Write, "the agent has removed it");
            assert_eq!(action(Some(&new), None), Action::Keep);
            assert_eq!(action(Some(&old), Some(&old)), Action::Write, "only the deployment has changed it");
            let edited = action(Some(&edited), Some(&old));
            assert_eq!(edited, if owner == Owner::Operator { Action::PutBack } else { Action::Keep });
        }
    }

    #[test]
    fn the_file_of_a_deleted_document_is_removed_unless_the_agent_has_edited_it() {
        let [old, edited] = ["old", "edited"].map(|text| sha256(text.as_bytes()));
        assert_eq!(action(None, Some(&old), Some(&old)), Action::Remove);
        assert_eq!(action(None, Some(&edited), Some(&old)), Action::Keep);
        assert_eq!(action(None, Some(&edited), None), Action::Keep, "the agent's own file");
        assert_eq!(action(None, None, Some(&old)), Action::Keep);
    }
}
