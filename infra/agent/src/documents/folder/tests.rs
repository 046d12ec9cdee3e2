use std::os::unix::fs::symlink;

use super::*;

fn folder(data: &tempfile::TempDir) -> Folder {
    let data_dir = data.path().to_owned();
    Folder { dir: data_dir.join("workspace"), data_dir, uid: None }
}

fn document(path: &str, owner: Owner, text: &str) -> Text {
    let path = DocumentPath::parse(path).unwrap();
    Text { path, owner, sha256: sha256(text.as_bytes()), text: text.to_owned() }
}

fn on_disk(folder: &Folder, path: &str) -> Option<String> {
    fs::read_to_string(folder.dir.join(path)).ok()
}

#[test]
fn a_workspace_without_documents_creates_no_folder() {
    let data = tempfile::tempdir().unwrap();
    let folder = folder(&data);
    assert_eq!(folder.place(&[], "2026-11-24").unwrap(), [""; 0]);
    assert_eq!(folder.collect(&[]).unwrap(), Collected::default());
    assert!(!folder.dir.exists());
}

#[test]
fn documents_are_written_and_an_edit_of_the_operators_is_taken_back_and_reported() {
    let data = tempfile::tempdir().unwrap();
    let folder = folder(&data);
    let documents = [
        document("SOUL.md", Owner::Operator, "be kind"),
        document("MEMORY.md", Owner::Agent, "seed"),
        document("memory/2026-11-30.md", Owner::Agent, "today"),
    ];
    assert_eq!(folder.place(&documents, "2026-11-24").unwrap(), [""; 0]);
    assert_eq!(on_disk(&folder, "memory/2026-11-30.md").as_deref(), Some("today"));
    assert_eq!(folder.collect(&documents).unwrap(), Collected::default());

    fs::write(folder.dir.join("SOUL.md"), "be mean").unwrap();
    fs::write(folder.dir.join("MEMORY.md"), "seed, likes tea").unwrap();
    fs::write(folder.dir.join("memory/2026-12-01.md"), "new").unwrap();
    fs::write(folder.dir.join("TOOLS.md"), "my own").unwrap();
    let collected = folder.collect(&documents).unwrap();
    assert_eq!(collected.put_back, ["SOUL.md"]);
    assert_eq!(on_disk(&folder, "SOUL.md").as_deref(), Some("be kind"));
    let edits: Vec<_> = collected.edits.iter().map(|e| (e.text.path.as_str(), &*e.text.text)).collect();
    assert_eq!(edits, [("MEMORY.md", "seed, likes tea"), ("memory/2026-12-01.md", "new")]);
    assert_eq!(collected.edits[0].base, Some(sha256(b"seed")));
    assert_eq!(collected.edits[1].base, None);

    // The edits were not sent, so they stay, and are found again.
    fs::write(folder.dir.join("SOUL.md"), "be mean").unwrap();
    assert_eq!(folder.place(&documents, "2026-11-24").unwrap(), ["SOUL.md"], "also before a run");
    assert_eq!(folder.collect(&documents).unwrap().edits.len(), 2);
    let sent = collected.edits.into_iter().map(|edit| (edit.text.path, edit.text.sha256)).collect();
    folder.remember(sent).unwrap();
    assert!(folder.collect(&documents).unwrap().edits.is_empty());
}

#[test]
fn a_change_of_the_deployment_arrives_unless_the_agent_has_edited_the_document() {
    let data = tempfile::tempdir().unwrap();
    let folder = folder(&data);
    let memory = |text: &str| [document("MEMORY.md", Owner::Agent, text)];
    folder.place(&memory("one"), "").unwrap();
    folder.place(&memory("two"), "").unwrap();
    assert_eq!(on_disk(&folder, "MEMORY.md").as_deref(), Some("two"));
    fs::write(folder.dir.join("MEMORY.md"), "two, edited").unwrap();
    folder.place(&memory("three"), "").unwrap();
    assert_eq!(on_disk(&folder, "MEMORY.md").as_deref(), Some("two, edited"));
    assert_eq!(folder.collect(&memory("three")).unwrap().edits[0].base, Some(sha256(b"two")));
}

#[test]
fn a_deleted_document_is_removed_and_an_older_memory_stays() {
    let data = tempfile::tempdir().unwrap();
    let folder = folder(&data);
    let documents = [
        document("USER.md", Owner::Agent, "ann"),
        document("memory/2026-11-20.md", Owner::Agent, "old"),
        document("memory/2026-11-30.md", Owner::Agent, "new"),
    ];
    folder.place(&documents, "2026-11-20").unwrap();
    folder.place(&[], "2026-11-24").unwrap();
    let left =
        ["USER.md", "memory/2026-11-20.md", "memory/2026-11-30.md"].map(|p| on_disk(&folder, p).is_some());
    assert_eq!(left, [false, true, false], "a day outside of the window may exist");
}

#[test]
fn nothing_is_read_or_written_through_a_link() {
    let (data, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let folder = folder(&data);
    let secret = outside.path().join("MEMORY.md");
    fs::write(&secret, "secret").unwrap();
    let documents =
        [document("SOUL.md", Owner::Operator, "be kind"), document("USER.md", Owner::Agent, "ann")];

    symlink(outside.path(), &folder.dir).unwrap();
    assert_eq!(folder.collect(&documents).unwrap(), Collected::default());
    folder.place(&documents, "").unwrap();
    assert!(fs::symlink_metadata(&folder.dir).unwrap().is_dir(), "the link is replaced");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);

    for name in ["SOUL.md", "USER.md", SYNCED_FILE] {
        fs::remove_file(folder.dir.join(name)).unwrap();
        symlink(&secret, folder.dir.join(name)).unwrap();
    }
    symlink(&secret, folder.dir.join("MEMORY.md")).unwrap();
    symlink(&secret, folder.dir.join(NEW_FILE)).unwrap();
    symlink(outside.path(), folder.dir.join("memory")).unwrap();
    let collected = folder.collect(&documents).unwrap();
    assert_eq!((collected.edits.len(), collected.put_back), (0, vec!["SOUL.md".to_owned()]));
    fs::create_dir(folder.dir.join("AGENTS.md")).unwrap();
    let more =
        [document("AGENTS.md", Owner::Operator, "x"), document("memory/2026-11-30.md", Owner::Agent, "y")];
    folder.place(&more, "").unwrap();
    assert_eq!(on_disk(&folder, "AGENTS.md").as_deref(), Some("x"), "a folder is replaced, too");
    assert_eq!(fs::read_to_string(&secret).unwrap(), "secret");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    fs::remove_file(folder.dir.join("MEMORY.md")).unwrap();
    fs::hard_link(&secret, folder.dir.join("MEMORY.md")).unwrap();
    assert_eq!(folder.collect(&[]).unwrap().edits.iter().filter(|e| e.text.text == "secret").count(), 0);
}
