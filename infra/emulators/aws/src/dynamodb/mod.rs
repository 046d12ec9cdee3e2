//! The embedded DynamoDB engine: dynoxide on SQLite, file-backed for `agent-factory dev`, in memory for tests.
//!
//! The engine is driven through its storage and its actions, not through `dynoxide::Database`, for two things
//! that type keeps to itself: the SQLite connection (for the index without which every write to a stream-enabled
//! table walks over all its records, and for trimming them), and the clock (time to live, stream times and the
//! window of idempotency tokens follow the virtual clock).
//!
//! One call at a time holds the engine. Against a file it runs on a thread that may block; in memory it runs in
//! place, so that a seeded simulation on one thread repeats itself exactly.

mod import;
mod operations;
mod stream;
mod tables;
mod tokens;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use af_runtime::clock::SharedClock;
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
    /// Whether a call waits for a disk and must not run on the runtime's own threads.
    blocking: bool,
    writes: watch::Sender<u64>,
}

/// What one call at a time holds.
struct State {
    storage: Storage,
    tokens: tokens::Tokens,
    /// The engine asks for this in its table actions; tables here have no vector index.
    vectors: VectorIndexLifecycle,
}

/// Why the engine could not be opened, or not be brought to what the template declares.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The database file cannot be opened.
    #[error("cannot open the database {path}")]
    Open {
        /// The file, or `memory`.
        path: PathBuf,
        /// What the engine said.
        #[source]
        source: DynoxideError,
    },
    /// A table's definition is refused.
    #[error("table {table}: {reason}")]
    Definition {
        /// The table's name.
        table: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The engine failed while it did something on its own.
    #[error("the engine failed to {doing}")]
    Failed {
        /// What it was doing.
        doing: &'static str,
        /// What it said.
        #[source]
        source: DynoxideError,
    },
}

impl Engine {
    /// Opens the database file at `path`, or makes it. What was committed survives a killed process.
    pub fn open(path: &Path, clock: SharedClock) -> Result<Self, EngineError> {
        let opened = || -> Result<Storage, DynoxideError> {
            let storage = Storage::new(&path.to_string_lossy())?;
            // Every commit is in the system's hands before it is answered, which a killed process survives. Only a
            // power cut may take back the last ones, and never half a transaction: enough for a developer's machine,
            // where waiting for the disk on every write would cost milliseconds each.
            storage.conn().execute_batch("PRAGMA synchronous = NORMAL")?;
            Ok(storage)
        };
        let storage = opened().map_err(|source| EngineError::Open { path: path.to_owned(), source })?;
        Self::over(storage, clock, true)
    }

    /// An empty database that is gone with its last clone.
    pub fn memory(clock: SharedClock) -> Result<Self, EngineError> {
        let storage =
            Storage::memory().map_err(|source| EngineError::Open { path: "memory".into(), source })?;
        Self::over(storage, clock, false)
    }

    fn over(storage: Storage, clock: SharedClock, blocking: bool) -> Result<Self, EngineError> {
        let storage = storage.with_clock(Arc::new(EngineClock(Arc::clone(&clock))));
        stream::index_records(&storage)
            .map_err(|source| EngineError::Failed { doing: "index its stream records", source })?;
        let state =
            State { storage, tokens: tokens::Tokens::default(), vectors: VectorIndexLifecycle::new() };
        let (writes, _) = watch::channel(0);
        Ok(Self { shared: Arc::new(Shared { state: Mutex::new(state), clock, blocking, writes }) })
    }

    /// Answers one operation of the DynamoDB or DynamoDB Streams API, as the service would.
    pub async fn call(&self, operation: &str, body: Value) -> Reply {
        let operation = operation.to_owned();
        match self.run(move |engine| engine.execute(&operation, body)).await {
            Ok(body) => Reply { status: 200, body },
            Err(refusal) => Reply {
                status: refusal.status_code(),
                body: serde_json::from_str(&refusal.to_json()).unwrap_or_default(),
            },
        }
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

    /// Creates the tables that are missing and brings the others to their definitions: indexes, stream and time to
    /// live. A table whose keys or local indexes differ is refused, as they cannot be changed; tables that are not
    /// named here stay as they are.
    pub async fn create_tables(&self, tables: &[TableDefinition]) -> Result<Vec<TableChange>, EngineError> {
        let tables = tables.to_vec();
        self.run(move |engine| tables.iter().map(|table| tables::apply(&engine, table)).collect()).await
    }

    /// Deletes the items whose time to live has passed by the virtual clock, as DynamoDB does some time later: each
    /// leaves a REMOVE record of the service's own. Answers how many there were.
    ///
    /// Every item of the tables is looked at while other calls wait (about 5 ms a thousand): call it seldom, as
    /// readers do not count on it.
    pub async fn sweep_ttl(&self) -> Result<usize, EngineError> {
        let swept = self
            .run(|engine| finish(dynoxide::ttl::sweep_expired_items(&engine.state().storage)))
            .await
            .map_err(|source| EngineError::Failed { doing: "sweep expired items", source })?;
        if swept > 0 {
            self.wrote();
        }
        Ok(swept)
    }

    async fn run<T: Send + 'static>(&self, task: impl FnOnce(Self) -> T + Send + 'static) -> T {
        let engine = self.clone();
        if !self.shared.blocking {
            return task(engine);
        }
        match tokio::task::spawn_blocking(move || task(engine)).await {
            Ok(answer) => answer,
            Err(failed) => match failed.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is shutting down: the caller is not polled again.
                Err(_cancelled) => std::future::pending().await,
            },
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Engine")
    }
}

/// The engine's view of our clock.
struct EngineClock(SharedClock);

impl dynoxide::storage_backend::Clock for EngineClock {
    fn now_unix_secs(&self) -> u64 {
        self.0.now().as_secs()
    }

    fn now_unix_secs_f64(&self) -> f64 {
        self.0.now().as_millis() as f64 / 1_000.0
    }
}

/// Finishes one of the engine's actions at once. They are `async` for its browser build only: the native storage
/// answers every step in place, so the first poll is the last.
fn finish<T>(action: impl Future<Output = dynoxide::Result<T>>) -> dynoxide::Result<T> {
    futures::FutureExt::now_or_never(action).unwrap_or_else(|| {
        Err(DynoxideError::InternalServerError("the native engine suspended an action".to_owned()))
    })
}
