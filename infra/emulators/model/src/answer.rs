//! The bodies of answers: whole, or as a stream of events.

use std::convert::Infallible;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde_json::{Value, json};

/// A rough measure of tokens, so that figures grow with texts.
const BYTES_PER_TOKEN: usize = 4;

/// The usage of a request and its reply, in tokens.
fn usage(request: &Value, reply: &str) -> Value {
    let input = request["messages"].to_string().len().div_ceil(BYTES_PER_TOKEN);
    let output = reply.len().div_ceil(BYTES_PER_TOKEN);
    json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output})
}

/// A whole answer.
pub fn whole(request: &Value, reply: &str) -> Response {
    let choice =
        json!({"index": 0, "message": {"role": "assistant", "content": reply}, "finish_reason": "stop"});
    Json(json!({
        "id": "chatcmpl-emulator", "object": "chat.completion", "created": 0, "model": request["model"],
        "choices": [choice], "usage": usage(request, reply),
    }))
    .into_response()
}

/// A stream of the reply, one event for each word.
pub fn streamed(request: &Value, reply: &str) -> Response {
    let mut events = words(request, reply);
    events.push(event(request, json!([{"index": 0, "delta": {}, "finish_reason": "stop"}]), Value::Null));
    if request["stream_options"]["include_usage"] == true {
        events.push(event(request, json!([]), usage(request, reply)));
    }
    events.push("data: [DONE]\n\n".to_owned());
    let events = events.into_iter().map(|event| Ok::<_, Infallible>(Bytes::from(event)));
    response(Body::from_stream(stream::iter(events)))
}

/// A stream that breaks after the reply: the connection ends within the body.
pub fn broken(request: &Value, reply: &str) -> Response {
    let events = words(request, reply).into_iter().map(|event| Ok(Bytes::from(event)));
    let end = std::iter::once(Err(std::io::Error::other("the stream breaks")));
    response(Body::from_stream(stream::iter(events.chain(end))))
}

fn words(request: &Value, reply: &str) -> Vec<String> {
    let delta = |delta: Value| {
        event(request, json!([{"index": 0, "delta": delta, "finish_reason": null}]), Value::Null)
    };
    let mut events = vec![delta(json!({"role": "assistant", "content": ""}))];
    events.extend(reply.split_inclusive(' ').map(|word| delta(json!({"content": word}))));
    events
}

fn event(request: &Value, choices: Value, usage: Value) -> String {
    let chunk = json!({
        "id": "chatcmpl-emulator", "object": "chat.completion.chunk", "created": 0, "model": request["model"],
        "choices": choices, "usage": usage,
    });
    format!("data: {chunk}\n\n")
}

fn response(body: Body) -> Response {
    ([(CONTENT_TYPE, "text/event-stream")], body).into_response()
}
