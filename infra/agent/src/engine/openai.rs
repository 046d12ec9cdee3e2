//! `openai`: asks a language model with OpenAI's chat completions API, which many other servers support, too.
//!
//! The request has the conversation's history and the message. The server may stream the reply or send it whole. The
//! latest line of a streamed reply is shown as progress.
//!
//! **Failures.** If a server is busy (429, 5xx), unreachable, or silent within an answer, the request is repeated, at
//! most [`MAX_TRIES`] times in all, after the time that the server names or after a backoff. The partial reply is
//! discarded. An answer without a reply ([`NoReply`]) fails the attempt. A permanent refusal (a wrong key, an unknown model) fails the message at once. No error contains the key.
//! Pictures are part of the request. If the model refuses a request with pictures, it is repeated without them.
//!
//! **An agent's gateway** offers the same API and keeps the conversation itself. So it gets only the message, and no request
//! twice: a repetition would be one more message of its conversation. It is silent while its tools work.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use af_api::usage::UsageBody;
use af_domain::ids::ModelName;
use async_trait::async_trait;
use data_encoding::HEXLOWER;
use eventsource_stream::{Event, EventStreamError, Eventsource};
use futures::{Stream, StreamExt};
use reqwest::{Response, StatusCode, header};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::time::{sleep, timeout};

use super::completion::{Answer, Completion, ErrorBody, NoReply, Tokens};
use super::contract::{Engine, Failure, MAX_REPLY_BYTES, Progress};
use super::pictures::pictures;
use crate::backoff::Backoff;
use crate::config::OpenAiConfig;
use crate::documents::prompt::system_message;
use crate::http::{self, retry_after};
use crate::hydration::ReceivedBundle;

/// Most requests for one attempt. The message queue makes the next attempt, with a backoff of minutes.
const MAX_TRIES: usize = 4;
/// Longest wait that a server may ask for between two requests. For longer ones the queue's own backoff is better.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);
/// Longest silence before and within an answer: models think for minutes, not for longer.
const MAX_SILENCE: Duration = Duration::from_secs(180);
/// The same for an agent, which is silent while its tools work: the longest run of a message by default.
const MAX_AGENT_SILENCE: Duration = Duration::from_secs(1_800);
/// How much of a refusal is read, in bytes, and repeated in the error, in characters.
const MAX_REFUSAL_BYTES: usize = 16 * 1024;
const MAX_REFUSAL_CHARS: usize = 300;
/// Most bytes of one incomplete event. An event holds a few words of a reply.
const MAX_EVENT_BYTES: usize = 4 * MAX_REPLY_BYTES;
const CUT_OFF: &str = "the model's answer was cut off";
/// The field of a request that asks for the count of tokens in a stream.
const STREAM_OPTIONS: &str = "stream_options";
/// The last event of a stream.
const DONE: &str = "[DONE]";

/// The engine.
pub struct OpenAi {
    http: reqwest::Client,
    /// Loads the pictures of a message.
    links: reqwest::Client,
    config: OpenAiConfig,
    /// Whether the server must not be asked for the count of tokens in a stream, because it has refused such a request.
    counts_no_tokens: AtomicBool,
    server: Server,
}

/// Who keeps the conversation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Server {
    /// A model, which gets the history with each message.
    Model,
    /// The gateway of an agent.
    Agent,
}

impl Server {
    /// Most requests for one attempt.
    fn max_tries(self) -> usize {
        if self == Self::Model { MAX_TRIES } else { 1 }
    }

    /// Longest silence before and within an answer.
    fn max_silence(self) -> Duration {
        if self == Self::Model { MAX_SILENCE } else { MAX_AGENT_SILENCE }
    }
}

/// Why a request has no reply.
enum Failed {
    /// No request can succeed.
    Permanent(String),
    /// The server refuses this request, but may accept one without pictures.
    Refused(String),
    /// The model ended its answer without a reply. The message queue makes the next request.
    NoReply(String),
    /// Another request may succeed, after the time that the server named, if it named one.
    Transient { reason: String, retry_after: Option<Duration> },
}

impl From<NoReply> for Failed {
    fn from(why: NoReply) -> Self {
        match why {
            // Another attempt would run the model again and end the same way.
            NoReply::TooLong => Self::Permanent(why.to_string()),
            NoReply::Error(_) => Self::transient(why.to_string()),
            _ => Self::NoReply(why.to_string()),
        }
    }
}

impl Failed {
    fn transient(reason: impl Into<String>) -> Self {
        Self::Transient { reason: reason.into(), retry_after: None }
    }
}

impl OpenAi {
    /// An engine for the model of `config` and messages of the deployment at `factory_url`.
    pub fn new(config: OpenAiConfig, factory_url: &str) -> Result<Self, reqwest::Error> {
        // A whole answer has no time limit of its own: the engine is stopped when the trust in the lease ends.
        let http = http::client(&config.base_url, None)?;
        Ok(Self {
            http,
            links: http::link_client(factory_url)?,
            config,
            counts_no_tokens: AtomicBool::new(false),
            server: Server::Model,
        })
    }

    /// The same for the gateway of an agent, which keeps the conversation itself.
    pub fn gateway(config: OpenAiConfig, factory_url: &str) -> Result<Self, reqwest::Error> {
        Ok(Self { server: Server::Agent, ..Self::new(config, factory_url)? })
    }

    async fn ask(
        &self,
        bundle: &ReceivedBundle,
        pictures: &[Value],
        progress: &Progress,
    ) -> Result<String, Failed> {
        let mut messages = messages(bundle, pictures);
        if self.server == Server::Agent {
            messages.drain(..messages.len().saturating_sub(1));
        }
        let max_silence = self.server.max_silence();
        // Servers use `user` to limit abuse. The hash tells them which requests belong together, and nothing else.
        let conversation_id = bundle.raw["conversationId"].as_str().unwrap_or_default();
        let user = HEXLOWER.encode(&Sha256::digest(conversation_id));
        let mut body =
            json!({"model": self.config.model, "stream": true, "messages": messages, "user": user});
        if !self.counts_no_tokens.load(Ordering::Relaxed) {
            body[STREAM_OPTIONS] = json!({"include_usage": true});
        }
        let mut request = self.http.post(format!("{}/chat/completions", self.config.base_url)).json(&body);
        if let Some(key) = &self.config.api_key {
            request = request.bearer_auth(key.expose_secret());
        }
        let response = timeout(max_silence, request.send())
            .await
            .map_err(|_| Failed::transient("the model's server did not answer"))?
            .map_err(|error| {
                Failed::transient(format!("the model's server cannot be reached: {}", cause(&error)))
            })?;
        if !response.status().is_success() {
            return Err(self.refused(response).await);
        }
        let kind =
            response.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let mut answer = Answer::default();
        let received = if kind.starts_with("text/event-stream") {
            streamed(response, &mut answer, progress, max_silence).await
        } else {
            whole(response, &mut answer, max_silence).await
        };
        // An answer without a reply has used tokens, too.
        if let Some(tokens) = answer.tokens {
            progress.add_usage(self.usage(tokens));
        }
        received?;
        Ok(answer.reply()?)
    }

    /// What one request has used. The model is the configured one, for which operators set prices.
    fn usage(&self, tokens: Tokens) -> UsageBody {
        UsageBody {
            model: ModelName::parse(&*self.config.model).ok().map(|model| model.to_string()),
            input_tokens: tokens.input,
            output_tokens: tokens.output,
            cached_input_tokens: tokens.cached_input,
            turns: Some(1),
            ..UsageBody::default()
        }
    }

    /// The meaning of a status other than 2xx.
    async fn refused(&self, response: Response) -> Failed {
        let (status, retry_after) = (response.status(), retry_after(&response));
        let said =
            timeout(MAX_SILENCE, http::read_start(response, MAX_REFUSAL_BYTES)).await.unwrap_or_default();
        let error = serde_json::from_slice::<Completion>(&said).ok().and_then(|body| body.error);
        let ErrorBody { message, code } = error.unwrap_or_default();
        // The key is removed before the text is cut: a part of the key would remain.
        let message: String = self.without_key(&message).chars().take(MAX_REFUSAL_CHARS).collect();
        let reason = format!("the model's server answered {}: {message}", status.as_u16());
        let passes = matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT | StatusCode::CONFLICT
        ) || status.is_server_error();
        // An exhausted quota is also answered with 429, and does not recover within an attempt.
        if passes && code.as_ref().and_then(Value::as_str) != Some("insufficient_quota") {
            return Failed::Transient { reason, retry_after };
        }
        match status {
            StatusCode::BAD_REQUEST
            | StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::UNSUPPORTED_MEDIA_TYPE
            | StatusCode::UNPROCESSABLE_ENTITY => Failed::Refused(reason),
            _ => Failed::Permanent(reason),
        }
    }

    /// Whether the server has refused a request because it asks for the count of tokens. Later requests do not ask.
    fn refuses_to_count(&self, reason: &str) -> bool {
        reason.contains(STREAM_OPTIONS) && !self.counts_no_tokens.swap(true, Ordering::Relaxed)
    }

    /// The text of an error without the key, which some servers repeat.
    fn without_key(&self, message: &str) -> String {
        match self.config.api_key.as_ref().map(ExposeSecret::expose_secret) {
            Some(key) if !key.is_empty() => message.replace(key, "***"),
            _ => message.to_owned(),
        }
    }
}

#[async_trait]
impl Engine for OpenAi {
    async fn answer(&self, bundle: &ReceivedBundle, progress: &Progress) -> Result<String, Failure> {
        let (mut backoff, mut tries) = (Backoff::new(), 0);
        let mut pictures = pictures(&self.links, bundle).await;
        loop {
            tries += 1;
            let (reason, wait) = match self.ask(bundle, &pictures, progress).await {
                Ok(reply) => return Ok(reply),
                Err(Failed::Refused(reason)) if !pictures.is_empty() => {
                    tracing::warn!(reason, "the request is repeated without pictures");
                    pictures.clear();
                    tries -= 1;
                    continue;
                }
                Err(Failed::Refused(reason)) if self.refuses_to_count(&reason) => {
                    tracing::warn!(reason, "the request is repeated without a count of tokens");
                    tries -= 1;
                    continue;
                }
                Err(Failed::Permanent(reason) | Failed::Refused(reason)) => {
                    return Err(Failure::permanent(self.without_key(&reason)));
                }
                Err(Failed::NoReply(reason)) => return Err(Failure::retryable(reason)),
                Err(Failed::Transient { reason, retry_after }) => {
                    let reason = self.without_key(&reason);
                    let wait = retry_after.unwrap_or_else(|| backoff.next());
                    if tries == self.server.max_tries() || wait > MAX_RETRY_AFTER {
                        return Err(Failure { retry_after, ..Failure::retryable(reason) });
                    }
                    (reason, wait)
                }
            };
            tracing::warn!(reason, wait_ms = wait.as_millis(), "the request is repeated");
            sleep(wait).await;
        }
    }

    /// Models write Markdown.
    fn format(&self) -> &'static str {
        "markdown"
    }
}

/// The conversation as messages of the API. A tool's result becomes a `system` message, because the API accepts a `tool`
/// message only after the call that it answers.
fn messages(bundle: &ReceivedBundle, pictures: &[Value]) -> Vec<Value> {
    let history = bundle.raw["conversationState"]["contextHistory"].as_array().map_or(&[][..], Vec::as_slice);
    let system = system_message(&bundle.raw).map(|text| json!({"role": "system", "content": text}));
    let mut messages: Vec<_> = system
        .into_iter()
        .chain(history.iter().map(|entry| match entry["role"].as_str() {
            Some(role @ ("user" | "assistant" | "system")) => {
                json!({"role": role, "content": entry["content"]})
            }
            _ => {
                let said = entry["content"].as_str().unwrap_or_default();
                json!({"role": "system", "content": format!("Result of a tool:\n{said}")})
            }
        }))
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

async fn streamed(
    response: Response,
    answer: &mut Answer,
    progress: &Progress,
    max_silence: Duration,
) -> Result<(), Failed> {
    let mut events = Box::pin(events(response));
    loop {
        let next = timeout(max_silence, events.next()).await;
        let event =
            match next.map_err(|_| Failed::transient("the model's server fell silent in its answer"))? {
                Some(Ok(event)) if event.data == DONE => return Ok(()),
                Some(Ok(event)) => event,
                // Some servers close the stream without the last event.
                None if answer.finish_reason.is_some() => return Ok(()),
                Some(Err(EventStreamError::Transport(why))) => return Err(Failed::transient(why)),
                Some(Err(_)) | None => return Err(Failed::transient(CUT_OFF)),
            };
        let piece = serde_json::from_str(&event.data).map_err(|_| {
            Failed::transient("the model's server sent an event that is not a chat completion")
        })?;
        answer.add(piece)?;
        progress.show(answer.text.trim_end().lines().next_back().unwrap_or_default());
    }
}

/// The events of a stream. An event that grows beyond [`MAX_EVENT_BYTES`] is an error.
fn events(response: Response) -> impl Stream<Item = Result<Event, EventStreamError<&'static str>>> {
    let (mut event_bytes, mut at_line_start) = (0, true);
    let bounded = response.bytes_stream().map(move |piece| {
        let piece = piece.map_err(|_| CUT_OFF)?;
        for byte in &piece {
            // A blank line ends an event.
            event_bytes = if *byte == b'\n' && at_line_start { 0 } else { event_bytes + 1 };
            at_line_start = *byte == b'\n' || (*byte == b'\r' && at_line_start);
        }
        if event_bytes > MAX_EVENT_BYTES {
            return Err("the model's server sent an event that has no end");
        }
        Ok(piece)
    });
    bounded.eventsource()
}

async fn whole(response: Response, answer: &mut Answer, max_silence: Duration) -> Result<(), Failed> {
    let body = timeout(max_silence, http::read_start(response, 4 * MAX_REPLY_BYTES)).await;
    let body = body.map_err(|_| Failed::transient("the model's server fell silent in its answer"))?;
    let completion = serde_json::from_slice(&body).map_err(|_| {
        Failed::transient("the model's server answered with a body that is not a chat completion")
    })?;
    Ok(answer.add(completion)?)
}

/// The innermost cause. The outer ones say only that a request to a URL failed.
fn cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
