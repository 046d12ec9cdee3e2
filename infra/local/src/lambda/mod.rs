//! Functions as processes of their own, as on Lambda: the built binaries, each behind a Runtime API.
//!
//! A process handles one event at a time. A further event starts a further process, up to [`MAX_PROCESSES`] of a function.
//! Lambda's rules for the end of a process hold: a process that exceeds the timeout of the template is killed, and one that
//! crashes fails its event. The next event gets a new process.
//!
//! | module | content |
//! |---|---|
//! | [`process`] | a process, from its start to its end |
//! | [`runtime_api`] | the HTTP server from which a process gets its events |
//! | [`http_event`] | requests as events of API Gateway, and answers as responses |

mod http_event;
mod process;
mod runtime_api;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use af_domain::time::Millis;
use af_emulator_aws::{Credentials, REGION};
use af_runtime::clock::{Clock as _, SystemClock};
use af_runtime::entropy::Entropy;
use af_sam::gateway::RouteMethod;
use af_sam::invoke::EventFunction;
use af_sam::template::{FunctionDef, Template};
use anyhow::{Context, anyhow, bail, ensure};
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _};
use http::StatusCode;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use http_event::Source;
use process::{Process, Program};
use runtime_api::{Answer, Invocation, MAX_PAYLOAD_BYTES};

/// The most processes of one function. Further events wait. Each worker that waits for a message, and each stream of
/// events, takes one; by default there are ten workers.
const MAX_PROCESSES: usize = 20;
/// What an event source adds to the timeout of the function: the start of the process, and the wait for a free one.
const START_ALLOWANCE: Millis = Millis::from_secs(10);
/// The level of the functions' logs without `RUST_LOG`, as for functions in the process of `dev`.
const LOG_LEVEL: &str = "warn";
/// The memory of each function. No function reads it, but the runtime requires it.
const MEMORY_MB: &str = "256";

/// What the processes of all functions share.
pub(crate) struct Launcher {
    /// The folder with the binaries.
    pub dir: PathBuf,
    /// The public URL of this machine.
    pub url: String,
    /// The endpoint of AWS.
    pub aws_url: String,
    /// The credentials that the endpoint accepts.
    pub aws_credentials: Credentials,
    /// The source of the ids of requests.
    pub entropy: Arc<Entropy>,
}

/// A function of the template whose processes are started when they are needed. Clones share the same processes.
#[derive(Clone)]
pub(crate) struct ProcessFunction(Arc<Shared>);

struct Shared {
    program: Program,
    timeout: Millis,
    idle: Mutex<Vec<Process>>,
    permits: Arc<Semaphore>,
    entropy: Arc<Entropy>,
}

/// A process that handles an event. Unless it is put back, it is killed.
struct Busy {
    function: ProcessFunction,
    process: Process,
    deadline: Instant,
    _permit: OwnedSemaphorePermit,
}

/// The answer of a function.
enum Output {
    Whole(Bytes),
    Streamed(BoxStream<'static, std::io::Result<Bytes>>),
}

impl Launcher {
    /// Checks that the binaries of all functions exist.
    ///
    /// # Errors
    /// Returns an error with the command that builds the missing ones.
    pub fn check(&self, template: &Template) -> anyhow::Result<()> {
        let binaries = template.functions.iter().map(|function| function.binary.as_str());
        let missing: Vec<_> = binaries.filter(|binary| !self.dir.join(binary).is_file()).collect();
        let packages: String = missing.iter().map(|binary| format!(" -p af-{binary}")).collect();
        ensure!(
            missing.is_empty(),
            "{} has no binary of {}; run `cargo build{packages}`, or name another folder with --functions-dir",
            self.dir.display(),
            missing.join(", ")
        );
        Ok(())
    }

    /// The function `def`. Its variables are those of the template, except for the public URL, which depends on this
    /// machine, and for the level of its logs.
    pub fn function(&self, def: &FunctionDef) -> ProcessFunction {
        let mut environment = def.environment.clone();
        if let Some(url) = environment.get_mut("PUBLIC_URL") {
            url.clone_from(&self.url);
        }
        let own = [
            ("AWS_ENDPOINT_URL", self.aws_url.as_str()),
            ("AWS_REGION", REGION),
            ("AWS_ACCESS_KEY_ID", self.aws_credentials.access_key_id()),
            ("AWS_SECRET_ACCESS_KEY", self.aws_credentials.secret_access_key()),
            ("AWS_LAMBDA_FUNCTION_NAME", &def.logical_id),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", MEMORY_MB),
            ("RUST_LOG", &std::env::var("RUST_LOG").unwrap_or_else(|_| LOG_LEVEL.to_owned())),
        ];
        environment.extend(own.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let program = Program { name: def.logical_id.clone(), path: self.dir.join(&def.binary), environment };
        ProcessFunction::new(program, def.timeout, self.entropy.clone())
    }
}

impl ProcessFunction {
    fn new(program: Program, timeout: Millis, entropy: Arc<Entropy>) -> Self {
        Self(Arc::new(Shared {
            program,
            timeout,
            idle: Mutex::default(),
            permits: Arc::new(Semaphore::new(MAX_PROCESSES)),
            entropy,
        }))
    }

    /// The router of a route of the HTTP API.
    pub fn route(&self, method: &RouteMethod, path: &str) -> Router {
        self.router(Source::Route(format!("{method} {path}")))
    }

    /// The router of the URL of the function.
    pub fn url(&self) -> Router {
        self.router(Source::FunctionUrl)
    }

    /// The function for streams and schedules.
    pub fn for_events(&self) -> EventFunction {
        let (function, name) = (self.clone(), self.0.program.name.clone());
        let timeout = Millis::new(self.0.timeout.as_millis() + START_ALLOWANCE.as_millis());
        EventFunction::new(name, timeout, move |event| {
            let function = function.clone();
            async move {
                match function.invoke(&function.request_id(), &event).await? {
                    Output::Whole(answer) => Ok(serde_json::from_slice(&answer)?),
                    Output::Streamed(_) => bail!("the function streams its answer"),
                }
            }
        })
    }

    fn router(&self, source: Source) -> Router {
        let function = self.clone();
        Router::new().fallback(move |request: Request| {
            let (function, source) = (function.clone(), source.clone());
            async move { function.answer(request, &source).await }
        })
    }

    /// Answers as API Gateway and function URLs do: a failed invocation is a 500 without its reason, which the log has.
    async fn answer(&self, request: Request, source: &Source) -> Response {
        let failed =
            |status: StatusCode, text: &str| (status, Json(json!({ "message": text }))).into_response();
        let (parts, body) = request.into_parts();
        let Ok(body) = body.collect().await else {
            return failed(StatusCode::BAD_REQUEST, "Bad Request");
        };
        let id = self.request_id();
        let event = http_event::event(&parts, &body.to_bytes(), source, &id, SystemClock.now());
        let answered = async {
            match self.invoke(&id, &event).await? {
                Output::Whole(answer) => http_event::whole(&answer),
                Output::Streamed(answer) => http_event::streamed(answer).await,
            }
        };
        answered.await.unwrap_or_else(|error| {
            let error = format!("{error:#}");
            tracing::error!(function = self.0.program.name, request_id = id, error, "an invocation failed");
            failed(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
        })
    }

    /// Calls the function. Dropping this future, or the stream in its output, kills the process.
    async fn invoke(&self, id: &str, event: &Value) -> anyhow::Result<Output> {
        let event = Bytes::from(serde_json::to_vec(event)?);
        ensure!(event.len() <= MAX_PAYLOAD_BYTES, "the event is larger than {MAX_PAYLOAD_BYTES} bytes");
        let mut busy = self.process().await?;
        let invocation = |answer| Invocation {
            id: id.to_owned(),
            deadline: SystemClock.now() + self.0.timeout,
            arn: format!("arn:aws:lambda:{REGION}:000000000000:function:{}", self.0.program.name),
            event,
            answer,
        };
        let answer = timeout_at(busy.deadline, busy.process.invoke(invocation)).await;
        match answer.map_err(|_| self.timed_out())?? {
            Answer::Whole(answer) => {
                busy.put_back();
                Ok(Output::Whole(answer))
            }
            Answer::Failed(reason) => {
                busy.put_back();
                Err(anyhow!("the function failed: {reason}"))
            }
            Answer::Streamed(stream) => Ok(Output::Streamed(busy.streaming(stream).boxed())),
        }
    }

    /// A process that waits for an event, or a new one.
    async fn process(&self) -> anyhow::Result<Busy> {
        let permit = self.0.permits.clone().acquire_owned().await.context("the stack has stopped")?;
        let idle = std::iter::from_fn(|| self.idle().pop()).find_map(|mut p| p.is_alive().then_some(p));
        let process = match idle {
            Some(process) => process,
            None => Process::start(&self.0.program).await?,
        };
        let deadline = Instant::now() + Duration::from_millis(self.0.timeout.as_millis());
        Ok(Busy { function: self.clone(), process, deadline, _permit: permit })
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Process>> {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn timed_out(&self) -> anyhow::Error {
        anyhow!("the function did not end within {} and was killed", self.0.timeout)
    }

    /// A random id in the form of a UUID.
    fn request_id(&self) -> String {
        let id = HEXLOWER.encode(&self.0.entropy.bytes::<16>());
        [&id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]].join("-")
    }
}

impl Busy {
    /// Makes the process available for the next event.
    fn put_back(self) {
        let Self { function, process, .. } = self;
        function.idle().push(process);
    }

    /// The chunks of a streamed answer. The process is put back at its end.
    fn streaming(
        self,
        chunks: BoxStream<'static, Result<Bytes, axum::Error>>,
    ) -> impl Stream<Item = std::io::Result<Bytes>> + Send + 'static {
        futures::stream::unfold(Some((self, chunks)), async |open| {
            let (busy, mut chunks) = open?;
            match timeout_at(busy.deadline, chunks.next()).await {
                Ok(Some(Ok(chunk))) => Some((Ok(chunk), Some((busy, chunks)))),
                Ok(Some(Err(error))) => Some((Err(std::io::Error::other(error)), None)),
                Ok(None) => {
                    busy.put_back();
                    None
                }
                Err(_) => Some((Err(std::io::Error::other(busy.function.timed_out())), None)),
            }
        })
    }
}

#[cfg(test)]
mod tests;
