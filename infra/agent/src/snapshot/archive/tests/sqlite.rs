//! A SQLite database in the folder is complete in the archive, together with the files that SQLite keeps beside it.

use std::path::Path;

use rusqlite::{Connection, params};

use super::{packed, unpacked};

/// Committed rows that are only in the write-ahead log.
const COMMITTED: i64 = 2_000;
/// Bytes of a row. All rows need more memory than the writer may use, so uncommitted rows are on the disk, too.
const ROW_BYTES: usize = 500;

/// A database in WAL mode without automatic checkpoints.
fn opened(path: &Path) -> Connection {
    let db = Connection::open(path).unwrap();
    let mode: String = db.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
    db.execute_batch("PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = 10;").unwrap();
    db
}

fn write(db: &Connection, ids: std::ops::Range<i64>) {
    let mut insert = db.prepare("INSERT INTO note (id, text) VALUES (?1, ?2)").unwrap();
    for id in ids {
        insert.execute(params![id, "x".repeat(ROW_BYTES)]).unwrap();
    }
}

fn notes(db: &Connection) -> i64 {
    db.query_row("SELECT count(*) FROM note", [], |row| row.get(0)).unwrap()
}

#[test]
fn an_open_database_is_restored_with_all_committed_rows_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let db = opened(&path("notes.db"));
    db.execute_batch("CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT)").unwrap();
    write(&db, 0..COMMITTED / 2);
    db.execute_batch("BEGIN").unwrap();
    write(&db, COMMITTED / 2..COMMITTED);
    db.execute_batch("COMMIT; BEGIN").unwrap();
    let log =
        |what: &str| std::fs::metadata(path("notes.db-wal")).unwrap_or_else(|e| panic!("{what}: {e}")).len();
    let before = log("without a checkpoint there is a log");
    write(&db, COMMITTED..2 * COMMITTED);
    assert!(log("the log still exists") > before, "uncommitted rows are on the disk");

    let archive = packed(folder.path());
    let back = unpacked(&archive).unwrap();
    let restored = opened(&back.path().join("notes.db"));
    let sound: String = restored.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!((sound.as_str(), notes(&restored)), ("ok", COMMITTED));
    write(&restored, COMMITTED..COMMITTED + 1);
    assert_eq!(notes(&restored), COMMITTED + 1, "the restored database accepts writes");

    db.execute_batch("COMMIT").unwrap();
    assert_eq!(notes(&db), 2 * COMMITTED, "the writer is not disturbed");
}

#[test]
fn a_database_without_its_log_lacks_the_last_committed_rows() {
    let folder = tempfile::tempdir().unwrap();
    let db = opened(&folder.path().join("notes.db"));
    db.execute_batch("CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT)").unwrap();
    db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    write(&db, 0..COMMITTED);
    let back = unpacked(&packed(folder.path())).unwrap();
    for beside in ["notes.db-wal", "notes.db-shm"] {
        std::fs::remove_file(back.path().join(beside)).unwrap();
    }
    assert_eq!(notes(&opened(&back.path().join("notes.db"))), 0, "this shows that the test above can fail");
}
