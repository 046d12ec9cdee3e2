//! `openai`: asks a language model by the chat completions of OpenAI, which many other servers speak, too.
//!
//! The conversation's history and the message go out, the reply comes in as it is made; its latest line is shown as
//! progress. A server that does not stream and answers at once is understood as well.
//!
//! **Failures.** A server that is busy (429, 5xx), out of reach, or silent in the middle is asked again, at most
//! [`TRIES_MAX`] times, after the time that it names or a growing one: nothing was done with the half of a reply. What
//! it refuses for good (a wrong key, an unknown model) fails the message at once. The key is in no error. Pictures go along;
//! a model that refuses a request with pictures, as one that reads none does, is asked again without.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use af_telegram::ParseMode;
use async_trait::async_trait;
use eventsource_stream::{Event, EventStreamError, Eventsource};
use futures::{Stream, StreamExt};
use reqwest::{Response, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::pictures::pictures;
use super::{Engine, EngineError, Progress, REPLY_BYTES_MAX};
use crate::backoff::Backoff;
use crate::http::{self, retry_after};
use crate::wire::Bundle;

/// Times one message is asked. Its next attempt, with its backoff of minutes, is the message queue's.
const TRIES_MAX: usize = 4;
/// Longest wait that a server may ask for between two tries: beyond it the queue's own backoff is the better place.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);
/// Longest silence before the first byte of an answer, and between two: models think for minutes, not for longer.
const SILENCE_MAX: Duration = Duration::from_secs(180);
/// How much of a refusal is read, in bytes, and told, in characters.
const REFUSAL_BYTES_MAX: usize = 16 * 1024;
const REFUSAL_CHARS_MAX: usize = 300;
/// Most bytes that may come without an event being whole. One holds a few words of a reply.
const EVENT_BYTES_MAX: usize = 4 * REPLY_BYTES_MAX;
const CUT_OFF: &str = "the model's answer was cut off";
/// Last event of a stream.
const DONE: &str = "[DONE]";

/// Which model answers, and where.
#[derive(Clone, Debug)]
pub struct OpenAiConfig {
    /// The API's base URL, as `https://api.openai.com/v1` (`OPENAI_BASE_URL`).
    pub base_url: String,
    /// The model's name there (`OPENCLAW_AGENT_MODEL`, else `OPENAI_MODEL`).
    pub model: String,
    /// The key (`OPENAI_API_KEY`); a server of one's own may need none.
    pub api_key: Option<SecretString>,
}

/// The engine.
pub struct OpenAi {
    http: reqwest::Client,
    /// For the pictures that came with a message.
    links: reqwest::Client,
    config: OpenAiConfig,
}

/// Why a try brought no reply.
enum Failed {
    /// It never will.
    ForGood(String),
    /// The request as it is: one without pictures may be taken.
    Refused(String),
    /// Another try may, after this long if the server named it.
    Now { reason: String, retry_after: Option<Duration> },
}

impl Failed {
    fn now(reason: impl Into<String>) -> Self {
        Self::Now { reason: reason.into(), retry_after: None }
    }
}

impl OpenAi {
    /// An engine that asks the model of `config`, for messages of the deployment at `factory_url`.
    pub fn new(config: OpenAiConfig, factory_url: &str) -> Result<Self, reqwest::Error> {
        // The whole answer may take as long as it takes: the lease's watchdog is beside it.
        let http = http::client(&config.base_url, None)?;
        Ok(Self { http, links: http::link_client(factory_url)?, config })
    }

    async fn ask(&self, bundle: &Bundle, pictures: &[Value], progress: &Progress) -> Result<String, Failed> {
        let messages = messages(bundle, pictures);
        let body = json!({"model": self.config.model, "stream": true, "messages": messages});
        let mut request = self.http.post(format!("{}/chat/completions", self.config.base_url)).json(&body);
        if let Some(key) = &self.config.api_key {
            request = request.bearer_auth(key.expose_secret());
        }
        let response = timeout(SILENCE_MAX, request.send())
            .await
            .map_err(|_| Failed::now("the model's server did not answer"))?
            .map_err(|error| {
                Failed::now(format!("the model's server cannot be reached: {}", cause(&error)))
            })?;
        if !response.status().is_success() {
            return Err(self.refused(response).await);
        }
        let kind =
            response.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        if kind.starts_with("text/event-stream") {
            streamed(response, progress).await
        } else {
            whole(response).await
        }
    }

    /// What an answer other than 2xx means.
    async fn refused(&self, response: Response) -> Failed {
        let (status, retry_after) = (response.status(), retry_after(&response));
        let said =
            timeout(SILENCE_MAX, http::read_start(response, REFUSAL_BYTES_MAX)).await.unwrap_or_default();
        let refusal: Refusal = serde_json::from_slice(&said).unwrap_or_default();
        let code = refusal.error.code.as_ref().and_then(Value::as_str).unwrap_or_default();
        let reason =
            format!("the model's server answered {}: {}", status.as_u16(), self.told(&refusal.error.message));
        let passes = matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT | StatusCode::CONFLICT
        ) || status.is_server_error();
        // A used-up quota is answered 429, too, and does not fill up within a message's tries.
        if passes && code != "insufficient_quota" {
            return Failed::Now { reason, retry_after };
        }
        match status {
            StatusCode::BAD_REQUEST
            | StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::UNSUPPORTED_MEDIA_TYPE
            | StatusCode::UNPROCESSABLE_ENTITY => Failed::Refused(reason),
            _ => Failed::ForGood(reason),
        }
    }

    /// A refusal's words without the key, which servers like to repeat.
    fn told(&self, message: &str) -> String {
        let message = match self.config.api_key.as_ref().map(ExposeSecret::expose_secret) {
            Some(key) if !key.is_empty() => message.replace(key, "***"),
            _ => message.to_owned(),
        };
        message.chars().take(REFUSAL_CHARS_MAX).collect()
    }
}

#[async_trait]
impl Engine for OpenAi {
    async fn answer(&self, bundle: &Bundle, progress: &Progress) -> Result<String, EngineError> {
        let (mut backoff, mut tries) = (Backoff::new(), 0);
        let mut pictures = pictures(&self.links, bundle).await;
        loop {
            tries += 1;
            let (reason, wait) = match self.ask(bundle, &pictures, progress).await {
                Ok(reply) => return Ok(reply),
                Err(Failed::Refused(reason)) if !pictures.is_empty() => {
                    tracing::warn!(reason, "the model is asked again without pictures");
                    pictures.clear();
                    tries -= 1;
                    continue;
                }
                Err(Failed::ForGood(reason) | Failed::Refused(reason)) => {
                    return Err(EngineError { reason, retryable: false });
                }
                Err(Failed::Now { reason, retry_after }) => {
                    (reason, retry_after.unwrap_or_else(|| backoff.next()))
                }
            };
            if tries == TRIES_MAX || wait > RETRY_AFTER_MAX {
                return Err(EngineError { reason, retryable: true });
            }
            tracing::warn!(reason, wait_ms = wait.as_millis(), "the model is asked again");
            sleep(wait).await;
        }
    }

    /// Models write what they are told to; what does not parse as HTML is delivered as plain text.
    fn markup(&self) -> Option<ParseMode> {
        Some(ParseMode::Html)
    }
}

/// The conversation in the API's words. What a tool said is told by the system: the API takes a `tool` message only
/// behind the call that it answers.
fn messages(bundle: &Bundle, pictures: &[Value]) -> Vec<Value> {
    let history = bundle.raw["conversationState"]["contextHistory"].as_array().map_or(&[][..], Vec::as_slice);
    let mut messages: Vec<_> = history
        .iter()
        .map(|entry| match entry["role"].as_str() {
            Some(role @ ("user" | "assistant" | "system")) => {
                json!({"role": role, "content": entry["content"]})
            }
            _ => {
                let said = entry["content"].as_str().unwrap_or_default();
                json!({"role": "system", "content": format!("Result of a tool:\n{said}")})
            }
        })
        .collect();
    let text = &bundle.payload.message_text;
    messages.push(match pictures {
        [] => json!({"role": "user", "content": text}),
        pictures => {
            let mut content = vec![json!({"type": "text", "text": text})];
            content.extend_from_slice(pictures);
            json!({"role": "user", "content": content})
        }
    });
    messages
}

/// A piece of a reply, or the whole of one: they differ in one name.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Completion {
    choices: Vec<Choice>,
    error: Option<ErrorBody>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Choice {
    #[serde(alias = "delta")]
    message: Said,
    finish_reason: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Said {
    content: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Refusal {
    error: ErrorBody,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ErrorBody {
    message: String,
    /// A text with most servers, a number with some.
    code: Option<Value>,
}

async fn streamed(response: Response, progress: &Progress) -> Result<String, Failed> {
    let unread = AtomicUsize::new(0);
    let mut events = Box::pin(events(response, &unread));
    let (mut reply, mut finished) = (String::new(), false);
    loop {
        let next = timeout(SILENCE_MAX, events.next()).await;
        let event = match next.map_err(|_| Failed::now("the model's server fell silent in its answer"))? {
            Some(Ok(event)) if event.data == DONE => return Ok(reply),
            Some(Ok(event)) => event,
            // Some servers close without the last event.
            None if finished => return Ok(reply),
            Some(Err(EventStreamError::Transport(why))) => return Err(Failed::now(why)),
            Some(Err(_)) | None => return Err(Failed::now(CUT_OFF)),
        };
        unread.store(0, Ordering::Relaxed);
        let piece: Completion = serde_json::from_str(&event.data)
            .map_err(|_| Failed::now("the model's server sent something that is no chat completion"))?;
        if let Some(error) = piece.error {
            let message: String = error.message.chars().take(REFUSAL_CHARS_MAX).collect();
            return Err(Failed::now(format!("the model failed in its answer: {message}")));
        }
        let Some(choice) = piece.choices.into_iter().next() else { continue };
        reply.push_str(choice.message.content.as_deref().unwrap_or_default());
        finished |= choice.finish_reason.is_some();
        bounded(&reply)?;
        progress.show(reply.trim_end().lines().next_back().unwrap_or_default());
    }
}

/// The events of a stream; `unread` counts the bytes that have come since the last one.
fn events(
    response: Response,
    unread: &AtomicUsize,
) -> impl Stream<Item = Result<Event, EventStreamError<&'static str>>> {
    let counted = response.bytes_stream().map(|piece| {
        let piece = piece.map_err(|_| CUT_OFF)?;
        // What came before, and not this piece: it may hold many events.
        match unread.fetch_add(piece.len(), Ordering::Relaxed) {
            ..EVENT_BYTES_MAX => Ok(piece),
            _ => Err("the model's server sent an event that has no end"),
        }
    });
    counted.eventsource()
}

async fn whole(response: Response) -> Result<String, Failed> {
    let body = timeout(SILENCE_MAX, http::read_start(response, 4 * REPLY_BYTES_MAX)).await;
    let body = body.map_err(|_| Failed::now("the model's server fell silent in its answer"))?;
    let completion: Completion = serde_json::from_slice(&body)
        .map_err(|_| Failed::now("the model's server answered something that is no chat completion"))?;
    let choice = completion.choices.into_iter().next();
    let reply =
        choice.and_then(|c| c.message.content).ok_or_else(|| Failed::now("the model answered nothing"))?;
    bounded(&reply)?;
    Ok(reply)
}

fn bounded(reply: &str) -> Result<(), Failed> {
    if reply.len() > REPLY_BYTES_MAX {
        return Err(Failed::ForGood(format!("the reply is longer than {REPLY_BYTES_MAX} bytes")));
    }
    Ok(())
}

/// The innermost cause: the outer ones only say that a request failed, and to which URL.
fn cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
