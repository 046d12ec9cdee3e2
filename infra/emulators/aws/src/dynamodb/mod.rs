//! The embedded DynamoDB engine: dynoxide on SQLite, in a file for `agent-factory dev` and in memory for tests.
//!
//! This module uses the storage and the actions of the engine, not `dynoxide::Database`, because that type does not
//! expose two things. The first is the SQLite connection: the trim of stream records needs it, and so does the index that
//! keeps a write from scanning all records of its table. The second is the clock: time to live, stream times and the
//! window of idempotency tokens follow the virtual clock.
//!
//! The engine runs one call at a time. With a file, the call runs on a thread that may block. In memory it runs in
//! place, so that a seeded simulation on one thread is reproducible.

mod import;
mod operations;
mod stream;
mod tables;
mod tokens;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use af_runtime::clock::SharedClock;
use anyhow::Context;
use dynoxide::DynoxideError;
use dynoxide::actions::vector_lifecycle::VectorIndexLifecycle;
use dynoxide::storage::Storage;
use serde_json::Value;
use tokio::sync::watch;

use super::wire::Reply;

pub use tables::{TableChange, TableDefinition};

/// An embedded DynamoDB. Clones share the same tables.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    clock: SharedClock,
    /// The database file. With one, a call waits for the disk and must not run on the threads of the runtime.
    file: Option<PathBuf>,
    writes: watch::Sender<u64>,
}

/// The state that one call at a time uses.
struct State {
    storage: Storage,
    tokens: tokens::Tokens,
    /// The table actions of the engine require it. Our tables have no vector index.
    vectors: VectorIndexLifecycle,
}

impl Engine {
    /// Opens the database file at `path`, or creates it. Commits survive a killed process.
    pub fn open(path: &Path, clock: SharedClock) -> anyhow::Result<Self> {
        let opened = || -> Result<Storage, DynoxideError> {
            let storage = Storage::new(&path.to_string_lossy())?;
            // Before a commit is answered, the operating system has its data, so it survives a killed process. Only a
            // power cut can lose the last commits, and never a part of a transaction. This is enough for a
            // developer's machine, where a wait for the disk would cost milliseconds with each write.
            storage.conn().execute_batch("PRAGMA synchronous = NORMAL")?;
            Ok(storage)
        };
        let storage = opened().with_context(|| format!("cannot open the database {}", path.display()))?;
        Self::over(storage, clock, Some(path)).with_context(|| format!("cannot use {}", path.display()))
    }

    /// Opens an empty database in memory. It is deleted with its last clone.
    pub fn memory(clock: SharedClock) -> anyhow::Result<Self> {
        Self::over(Storage::memory().context("cannot open the database memory")?, clock, None)
    }

    fn over(storage: Storage, clock: SharedClock, file: Option<&Path>) -> anyhow::Result<Self> {
        let storage = storage.with_clock(Arc::new(EngineClock(Arc::clone(&clock))));
        stream::index_records(&storage).context("the engine failed to index its stream records")?;
        let state =
            State { storage, tokens: tokens::Tokens::default(), vectors: VectorIndexLifecycle::new() };
        let (writes, _) = watch::channel(0);
        Ok(Self {
            shared: Arc::new(Shared {
                state: Mutex::new(state),
                clock,
                file: file.map(Path::to_owned),
                writes,
            }),
        })
    }

    /// Executes one operation of the DynamoDB or DynamoDB Streams API, as the service does.
    pub async fn call(&self, operation: &str, body: Value) -> Reply {
        let operation = operation.to_owned();
        match self.run(move |engine| engine.execute(&operation, body)).await {
            Ok(body) => Reply { status: 200, body },
            Err(refusal) => {
                let body = serde_json::from_str(&refusal.to_json()).unwrap_or_default();
                self.with_path(Reply { status: refusal.status_code(), body })
            }
        }
    }

    /// Adds the path of the database to a failure of the engine, such as a full disk, and logs it.
    fn with_path(&self, mut reply: Reply) -> Reply {
        if let Some(file) = self.shared.file.as_ref().filter(|_| reply.status >= 500) {
            let message = ["message", "Message"].iter().find_map(|name| reply.body[name].as_str());
            let message = format!("{}: {}", file.display(), message.unwrap_or("the engine failed"));
            tracing::error!(error = message, "a request to the table could not be answered");
            reply.body["message"] = message.into();
        }
        reply
    }

    /// Runs one operation on this thread.
    fn execute(&self, operation: &str, body: Value) -> Result<Value, DynoxideError> {
        let now = self.shared.clock.now();
        let response = operations::execute(&mut self.state(), now, operation, body)?;
        if operations::writes(operation) {
            self.wrote();
        }
        Ok(response)
    }

    fn wrote(&self) {
        self.shared.writes.send_modify(|count| *count += 1);
    }

    /// Creates missing tables, and changes the indexes, streams and times to live of existing tables to their
    /// definitions. A table whose keys or local indexes differ is refused, because these cannot be changed. Other
    /// tables stay unchanged.
    pub async fn create_tables(&self, tables: &[TableDefinition]) -> anyhow::Result<Vec<TableChange>> {
        let tables = tables.to_vec();
        self.run(move |engine| tables.iter().map(|table| tables::apply(&engine, table)).collect()).await
    }

    /// Deletes the items whose time to live has passed by the virtual clock, as DynamoDB does after some time. Each
    /// deletion leaves a REMOVE record of the service. Returns the number of deleted items.
    ///
    /// It reads all items of the tables while other calls wait, which takes about 5 ms for a thousand items. Call it
    /// seldom; readers do not depend on it.
    pub async fn sweep_ttl(&self) -> anyhow::Result<usize> {
        let sweep = |engine: Self| finish(dynoxide::ttl::sweep_expired_items(&engine.state().storage));
        let swept = self.run(sweep).await.context("the engine failed to sweep expired items")?;
        if swept > 0 {
            self.wrote();
        }
        Ok(swept)
    }

    /// Returns everything that the database holds: the items, and the stream records of all changes that no trim has
    /// removed. It is for tests that search for something that must not be stored.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn stored_bytes(&self) -> anyhow::Result<Vec<u8>> {
        let state = self.state();
        let connection = state.storage.conn();
        let mut tables = connection.prepare("SELECT name FROM sqlite_master WHERE type = 'table'")?;
        let tables: Vec<String> = tables.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        let mut stored = Vec::new();
        for table in tables {
            let mut rows = connection.prepare(&format!("SELECT * FROM \"{table}\""))?;
            let columns = rows.column_count();
            let mut rows = rows.query([])?;
            while let Some(row) = rows.next()? {
                for column in 0..columns {
                    // Numbers have no bytes.
                    stored.extend_from_slice(row.get_ref(column)?.as_bytes().unwrap_or_default());
                    stored.push(b'\n');
                }
            }
        }
        Ok(stored)
    }

    async fn run<T: Send + 'static>(&self, task: impl FnOnce(Self) -> T + Send + 'static) -> T {
        let engine = self.clone();
        if self.shared.file.is_none() {
            return task(engine);
        }
        match tokio::task::spawn_blocking(move || task(engine)).await {
            Ok(answer) => answer,
            Err(failed) => match failed.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is shutting down, so the caller is not polled again.
                Err(_cancelled) => std::future::pending().await,
            },
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The virtual clock, as the clock of the engine.
struct EngineClock(SharedClock);

impl dynoxide::storage_backend::Clock for EngineClock {
    fn now_unix_secs(&self) -> u64 {
        self.0.now().as_secs()
    }

    fn now_unix_secs_f64(&self) -> f64 {
        self.0.now().as_millis() as f64 / 1_000.0
    }
}

/// Runs an action of the engine to its end. Actions are `async` only for the browser build. The native storage
/// completes every step in place, so one poll is enough.
fn finish<T>(action: impl Future<Output = dynoxide::Result<T>>) -> dynoxide::Result<T> {
    futures::FutureExt::now_or_never(action).unwrap_or_else(|| {
        Err(DynoxideError::InternalServerError("the native engine suspended an action".to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use af_runtime::clock::SystemClock;
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn a_full_disk_says_which_path() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("table.sqlite");
        let engine = Engine::open(&path, Arc::new(SystemClock)).unwrap();
        let create = json!({
            "TableName": "things", "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        });
        let definition = TableDefinition { create, ttl_attribute: None };
        engine.create_tables(&[definition]).await.unwrap();
        // SQLite answers as on a full disk when the file may not grow.
        engine.state().storage.conn().execute_batch("PRAGMA max_page_count = 1").unwrap();
        let item = json!({"pk": {"S": "a"}, "text": {"S": "x".repeat(300_000)}});
        let reply = engine.call("PutItem", json!({"TableName": "things", "Item": item})).await;
        let message = reply.body["message"].as_str().unwrap();
        assert!(reply.status == 500 && message.starts_with(path.to_str().unwrap()), "{message}");
        assert!(message.contains("full"), "{message}");
    }
}
