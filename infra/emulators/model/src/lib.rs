//! A language model's server: OpenAI's chat completions API with answers from a script.
//!
//! Without a script it answers each request with `model: ` and the last line of the last user message, word by word when
//! the request asks for a stream. It records every request. The control routes below `/_local` read the requests and add
//! scripted answers, so that a program in another process can use it, too:
//!
//! | Control route | Effect |
//! |---|---|
//! | `GET /_local/requests` | `{"requests": [{"key", "body"}]}`, the oldest first |
//! | `POST /_local/answers` | adds one [`ScriptedAnswer`], which answers one request |

mod answer;
mod api;
mod script;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use serde::Serialize;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use script::Script;
pub use script::{Answer, ScriptedAnswer};

/// A request as the emulator received it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Request {
    /// The key of its `Authorization` header, if it has one.
    pub key: Option<String>,
    /// Its body.
    pub body: Value,
}

/// The emulator. Clones share their state.
#[derive(Clone, Default)]
pub struct ModelEmulator(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    script: Script,
    requests: Vec<Request>,
}

impl ModelEmulator {
    /// Adds answers to the script. Each answers one request, in order.
    pub fn script(&self, answers: impl IntoIterator<Item = Answer>) {
        let mut state = self.state();
        answers.into_iter().for_each(|answer| state.script.add(ScriptedAnswer { asked: None, answer }));
    }

    /// All requests so far, the oldest first.
    pub fn requests(&self) -> Vec<Request> {
        self.state().requests.clone()
    }

    /// Records a request and takes its answer.
    fn take(&self, request: Request) -> Answer {
        let mut state = self.state();
        let answer = state.script.take(&request.body);
        state.requests.push(request);
        answer
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The routes: the API below `/v1`, and the control routes.
    pub fn router(&self) -> Router {
        api::router(self.clone())
    }

    /// Serves the routes on this loopback port (0 means a free one) until the task is aborted. Returns the base URL of the API, which ends in
    /// `/v1`.
    ///
    /// # Errors
    /// When no port can be used.
    pub async fn serve(&self, port: u16) -> std::io::Result<(String, JoinHandle<()>)> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let url = format!("http://{}/v1", listener.local_addr()?);
        let router = self.router();
        let served = async move {
            // `axum::serve` returns only when the listener cannot be used any more.
            let _ = axum::serve(listener, router).await;
        };
        Ok((url, tokio::spawn(served)))
    }
}
