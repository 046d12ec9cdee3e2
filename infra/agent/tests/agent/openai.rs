//! The openai engine against a fake of a model's server.

use std::time::Duration;

use af_agent::{Exit, run};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::{Answer, Fake, MODEL_KEY, config, hydrated, job, never, ok, payload, problem};

async fn work(fake: &Fake) {
    work_at(&fake.serve().await).await;
}

async fn work_at(url: &str) {
    let model = [
        ("AGENT_FACTORY_ENGINE", "openai"),
        ("OPENAI_BASE_URL", &*format!("{url}/model/v1/")),
        ("OPENCLAW_AGENT_MODEL", "small-1"),
        ("OPENAI_API_KEY", MODEL_KEY),
    ];
    assert_eq!(run(config(url, &model), never()).await.unwrap(), Exit::Stopped);
}

/// A reply in pieces, as servers send it with `stream: true`.
fn pieces(texts: &[&str]) -> Vec<String> {
    let piece = |delta: Value, end: Value| {
        json!({"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, "finish_reason": end}]})
            .to_string()
    };
    let mut data = vec![piece(json!({"role": "assistant", "content": ""}), Value::Null)];
    data.extend(texts.iter().map(|text| piece(json!({"content": text}), Value::Null)));
    data.push(piece(json!({}), json!("stop")));
    data
}

fn stream(texts: &[&str]) -> Answer {
    let mut data = pieces(texts);
    data.push("[DONE]".to_owned());
    Answer::Events { data, cut_off: false }
}

fn refusal(code: &str, message: &str) -> Value {
    json!({"error": {"message": message, "type": "invalid_request_error", "code": code}})
}

fn replies(fake: &Fake) -> Vec<Value> {
    fake.bodies("complete").into_iter().map(|body| body["reply"]["text"].clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn the_conversation_is_sent_and_the_streamed_reply_completes_the_message() {
    let fake = Fake::default();
    let Answer::Json(status, mut body) = hydrated("m1", payload("api", "user-1", "And now?")) else {
        unreachable!()
    };
    body["bundle"]["conversationState"]["contextHistory"] = json!([
        {"role": "user", "content": "Hello", "at": 1}, {"role": "assistant", "content": "Hi!", "at": 2},
        {"role": "tool", "content": "12 degrees", "at": 3},
    ]);
    fake.script("poll", [Answer::Json(status, body)]);
    fake.script("completions", [stream(&["It is ", "noon.\nBerlin", " time."])]);
    work(&fake).await;
    assert_eq!(replies(&fake), ["It is noon.\nBerlin time."]);
    let asked = &fake.bodies("completions")[0];
    assert_eq!((&asked["model"], &asked["stream"]), (&json!("small-1"), &json!(true)));
    assert_eq!(
        asked["messages"],
        json!([
            {"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi!"},
            {"role": "system", "content": "Result of a tool:\n12 degrees"},
            {"role": "user", "content": "And now?"},
        ])
    );
    let path = fake.calls().into_iter().find(|call| call.name == "completions").unwrap().path;
    assert_eq!(path, "/model/v1/chat/completions");
}

/// The event with the count of tokens, which follows the reply when the request asks for it.
fn counted(texts: &[&str], tokens: Value) -> Answer {
    let mut data = pieces(texts);
    data.push(json!({"object": "chat.completion.chunk", "choices": [], "usage": tokens}).to_string());
    data.push("[DONE]".to_owned());
    Answer::Events { data, cut_off: false }
}

#[tokio::test(start_paused = true)]
async fn the_tokens_that_the_model_counts_are_reported_with_the_reply() {
    let fake = Fake::default();
    fake.script("poll", [job("m1", "hello")]);
    let tokens = json!({
        "prompt_tokens": 120, "completion_tokens": 9, "total_tokens": 129, "prompt_tokens_details": {"cached_tokens": 64},
    });
    fake.script("completions", [counted(&["Hi!"], tokens)]);
    work(&fake).await;
    assert_eq!(fake.bodies("completions")[0]["stream_options"], json!({"include_usage": true}));
    let usage = json!({"model": "small-1", "inputTokens": 120, "outputTokens": 9, "cachedInputTokens": 64, "turns": 1});
    assert_eq!(fake.bodies("complete")[0]["usage"], usage);
}

#[tokio::test(start_paused = true)]
async fn a_failed_attempt_reports_the_tokens_of_all_its_requests() {
    let fake = Fake::default();
    fake.script("poll", [job("m1", "hello")]);
    let busy =
        json!({"error": {"message": "overloaded"}, "usage": {"prompt_tokens": 1, "completion_tokens": 1}});
    let whole = |finish: &str| {
        let choice = json!({"message": {"content": ""}, "finish_reason": finish});
        json!({"choices": [choice], "usage": {"prompt_tokens": 100, "completion_tokens": 40}})
    };
    fake.script("completions", [Answer::Json(200, busy), Answer::Json(200, whole("length"))]);
    work(&fake).await;
    let usage = json!({"model": "small-1", "inputTokens": 101, "outputTokens": 41, "turns": 2});
    assert_eq!(fake.bodies("fail")[0]["usage"], usage);
}

#[tokio::test(start_paused = true)]
async fn a_reply_with_a_malformed_count_of_tokens_is_a_reply_without_usage() {
    let fake = Fake::default();
    fake.script("poll", [job("m1", "hello")]);
    fake.script("completions", [counted(&["Hi!"], json!({"prompt_tokens": "many"}))]);
    work(&fake).await;
    assert_eq!(replies(&fake), ["Hi!"]);
    assert_eq!(fake.bodies("complete")[0].get("usage"), None);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_refuses_to_count_tokens_is_asked_without_a_count() {
    let fake = Fake::default();
    fake.script("poll", [job("m1", "hello"), job("m2", "again")]);
    let refused =
        Answer::Json(400, refusal("unknown_parameter", "Unrecognized request argument: stream_options"));
    fake.script("completions", [refused, stream(&["Hi!"]), stream(&["Hi again!"])]);
    work(&fake).await;
    assert_eq!(replies(&fake), ["Hi!", "Hi again!"]);
    let asked: Vec<_> =
        fake.bodies("completions").iter().map(|body| body.get("stream_options").is_some()).collect();
    assert_eq!(asked, [true, false, false]);
}

/// A message with a picture, a file that is not a picture, a missing picture and an expired one.
fn with_attachments(base: &str) -> Answer {
    let mut sent = payload("api", "user-1", "What is this?");
    let file = |name: &str, kind: &str| {
        json!({"kind": "document", "status": "ready", "telegramFileId": name, "mimeType": kind,
        "downloadUrl": format!("{base}/bucket/{name}")})
    };
    sent["attachments"] = json!([
        file("cat", "image/png"), file("report", "application/pdf"), file("gone", "image/jpeg"),
        {"kind": "photo", "status": "expired", "telegramFileId": "old", "mimeType": "image/jpeg"},
    ]);
    hydrated("m1", sent)
}

async fn asked_about_pictures(completions: Vec<Answer>) -> Fake {
    let fake = Fake::default();
    let url = fake.serve().await;
    fake.script("poll", [with_attachments(&url)]);
    let redirected = [Answer::Redirect("/bucket/object"), Answer::Bytes(b"a cat".to_vec())];
    fake.script("download", redirected).script("download", [problem(404, "not_found")]);
    fake.script("completions", completions);
    work_at(&url).await;
    fake
}

#[tokio::test(start_paused = true)]
async fn pictures_are_sent_to_the_model_and_no_other_file_is_loaded() {
    let fake = asked_about_pictures(vec![stream(&["A cat."])]).await;
    assert_eq!(replies(&fake), ["A cat."]);
    let content = json!([
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,YSBjYXQ="}},
    ]);
    assert_eq!(fake.bodies("completions")[0]["messages"], json!([{"role": "user", "content": content}]));
    let loaded: Vec<_> = fake.calls().into_iter().filter(|c| c.name == "download").map(|c| c.path).collect();
    assert_eq!(loaded, ["/bucket/cat", "/bucket/object", "/bucket/gone"]);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_a_model_refuses_is_repeated_without_pictures() {
    let refused = Answer::Json(400, refusal("invalid_value", "image_url is not supported by this model"));
    let fake = asked_about_pictures(vec![refused, stream(&["I cannot see it."])]).await;
    assert_eq!(replies(&fake), ["I cannot see it."]);
    let asked = fake.bodies("completions");
    assert_eq!(asked[1]["messages"], json!([{"role": "user", "content": "What is this?"}]));
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_pictures_did_not_cause_is_not_repeated_without_them() {
    let wrong_key = Answer::Json(401, refusal("invalid_api_key", "no such key"));
    let fake = asked_about_pictures(vec![wrong_key]).await;
    assert_eq!((fake.count("completions"), fake.count("fail")), (1, 1));
    // The tries against a busy server count in all, with pictures and without.
    let busy = || problem(503, "unavailable");
    let refused = Answer::Json(400, refusal("invalid_value", "no pictures"));
    let fake = asked_about_pictures(vec![busy(), busy(), busy(), refused, busy(), busy()]).await;
    assert_eq!((fake.count("completions"), fake.count("fail")), (5, 1));
}

#[tokio::test(start_paused = true)]
async fn a_reply_of_a_server_that_does_not_stream_is_accepted() {
    let fake = Fake::default();
    fake.script("poll", [job("m1", "hello")]);
    fake.script(
        "completions",
        [ok(json!({"choices": [{"message": {"role": "assistant", "content": "whole"}}]}))],
    );
    work(&fake).await;
    assert_eq!(replies(&fake), ["whole"]);
}

#[tokio::test(start_paused = true)]
async fn a_request_to_a_busy_server_is_repeated_after_its_retry_after() {
    let fake = Fake::default();
    fake.script("poll", [job("m1", "hello")]);
    let busy = Answer::Later(429, 7, refusal("rate_limit_exceeded", "slow down"));
    fake.script("completions", [busy, problem(503, "overloaded"), stream(&["there"])]);
    let started = Instant::now();
    work(&fake).await;
    assert_eq!((replies(&fake), fake.count("completions")), (vec![json!("there")], 3));
    assert!(started.elapsed() >= Duration::from_secs(7));
}

#[tokio::test(start_paused = true)]
async fn a_truncated_reply_is_requested_again_and_never_sent() {
    let fake = Fake::default();
    fake.script("poll", [job("m1", "hello")]);
    let half = Answer::Events { data: pieces(&["half of"])[..2].to_vec(), cut_off: true };
    let closed = Answer::Events { data: pieces(&["half of"])[..2].to_vec(), cut_off: false };
    fake.script("completions", [half, closed, stream(&["the whole reply"])]);
    work(&fake).await;
    assert_eq!(replies(&fake), ["the whole reply"]);
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_the_last_event_is_a_complete_reply() {
    let fake = Fake::default();
    fake.script("poll", [job("m1", "hello")]);
    fake.script("completions", [Answer::Events { data: pieces(&["all of it"]), cut_off: false }]);
    work(&fake).await;
    assert_eq!(replies(&fake), ["all of it"]);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_key_fails_the_message_without_retry_and_is_not_in_its_error() {
    let fake = Fake::default();
    fake.script("poll", [job("m1", "hello")]);
    let message = format!("Incorrect API key provided: {MODEL_KEY}.");
    fake.script("completions", [Answer::Json(401, refusal("invalid_api_key", &message))]);
    work(&fake).await;
    let failed = &fake.bodies("fail")[0];
    assert_eq!(failed["retryable"], false);
    let message = failed["errorMessage"].as_str().unwrap();
    assert!(message.contains("401: Incorrect API key provided: ***."), "{message}");
    assert_eq!(fake.count("completions"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stays_busy_fails_the_attempt_and_the_message_is_retryable() {
    let fake = Fake::default();
    fake.script("poll", [job("m1", "hello"), job("m2", "hello"), job("m3", "hello")]);
    fake.script("completions", (0..4).map(|_| problem(500, "internal")));
    fake.script("completions", [Answer::Later(429, 7_200, refusal("rate_limit_exceeded", "tomorrow"))]);
    fake.script("completions", [Answer::Json(429, refusal("insufficient_quota", "pay first"))]);
    work(&fake).await;
    let retryable: Vec<_> = fake.bodies("fail").into_iter().map(|body| body["retryable"].clone()).collect();
    assert_eq!(retryable, [true, true, false]);
    let asked: Vec<_> = fake.bodies("fail").iter().map(|body| body.get("retryAfterMs").cloned()).collect();
    assert_eq!(asked, [None, Some(json!(7_200_000)), None], "a Retry-After of 7200 becomes retryAfterMs");
    assert_eq!(
        fake.count("completions"),
        4 + 1 + 1,
        "neither a wait of two hours nor an exhausted quota is retried"
    );
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_too_large_stops_the_stream() {
    let fake = Fake::default();
    fake.script("poll", [job("m1", "hello")]);
    fake.script("completions", [Answer::Endless(16), stream(&["Here."])]);
    work(&fake).await;
    assert_eq!(replies(&fake), ["Here."], "the request is repeated");

    let fake = Fake::default();
    fake.script("poll", [job("m1", "hello")]);
    fake.script("completions", (0..4).map(|_| Answer::Endless(16)));
    work(&fake).await;
    let failed = &fake.bodies("fail")[0];
    assert_eq!(failed["errorMessage"], "the model's server sent an event that has no end");
    assert_eq!(failed["retryable"], true);
}

#[tokio::test(start_paused = true)]
async fn one_piece_of_a_stream_may_hold_many_events() {
    let fake = Fake::default();
    fake.script("poll", [job("m1", "hello")]);
    let words: Vec<_> = (0..4_000).map(|n| format!("{n:05} ")).collect();
    fake.script("completions", [stream(&words.iter().map(String::as_str).collect::<Vec<_>>())]);
    work(&fake).await;
    assert_eq!(replies(&fake), [words.concat()]);
}

/// A part of a streamed answer, or a whole answer, with this message and end.
fn completion(of: &str, message: Value, end: &str) -> Value {
    json!({"choices": [{"index": 0, of: message, "finish_reason": end}]})
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_a_reply_is_a_failed_attempt_that_says_so_streamed_or_not() {
    let call = json!([{"index": 0, "id": "c1", "function": {"name": "f", "arguments": "{}"}}]);
    for (message, end, expected) in [
        (json!({"content": ""}), "stop", "empty"),
        (json!({"content": " \n"}), "stop", "empty"),
        (json!({"content": null, "reasoning_content": "I think"}), "stop", "reasoning only"),
        (json!({"reasoning": "I think"}), "stop", "reasoning only"),
        (json!({"content": null, "tool_calls": call}), "tool_calls", "tool calls only"),
        (json!({"tool_calls": call}), "stop", "tool calls only"),
        (json!({"content": "The first half"}), "length", "cut off"),
        (json!({"content": "The first half"}), "content_filter", "content filter"),
    ] {
        let event = completion("delta", message.clone(), end).to_string();
        let streamed = Answer::Events { data: vec![event, "[DONE]".to_owned()], cut_off: false };
        for answer in [streamed, ok(completion("message", message.clone(), end))] {
            let fake = Fake::default();
            fake.script("poll", [job("m1", "hello")]).script("completions", [answer]);
            work(&fake).await;
            let failed = &fake.bodies("fail")[0];
            assert!(failed["errorMessage"].as_str().unwrap().contains(expected), "{message}: {failed}");
            assert_eq!(failed["retryable"], true, "{message}");
            assert_eq!((fake.count("sendMessage"), fake.count("complete")), (0, 0), "{message}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_with_status_200_is_a_failed_attempt_that_says_so() {
    for error in [json!({"error": {"message": "no capacity", "code": 502}}), json!({"error": "no capacity"})]
    {
        let streamed = || Answer::Events { data: vec![error.to_string()], cut_off: false };
        for answers in [[streamed(), streamed(), streamed(), streamed()], [0; 4].map(|_| ok(error.clone()))] {
            let fake = Fake::default();
            fake.script("poll", [job("m1", "hello")]).script("completions", answers);
            work(&fake).await;
            let failed = &fake.bodies("fail")[0];
            assert_eq!(failed["errorMessage"], "the model failed in its answer: no capacity");
            assert_eq!((failed["retryable"].clone(), fake.count("completions")), (json!(true), 4));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_the_model_is_a_reply() {
    let refusal = json!({"content": null, "refusal": "I cannot help with that."});
    let event = completion("delta", refusal.clone(), "stop").to_string();
    let streamed = Answer::Events { data: vec![event, "[DONE]".to_owned()], cut_off: false };
    let fake = Fake::default();
    fake.script("poll", [job("m1", "hello"), job("m2", "hello")]);
    fake.script("completions", [streamed, ok(completion("message", refusal, "stop"))]);
    work(&fake).await;
    assert_eq!(replies(&fake), ["I cannot help with that.", "I cannot help with that."]);
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_is_too_long_fails_without_retry() {
    let fake = Fake::default();
    fake.script("poll", [job("m1", "hello")]).script("completions", [stream(&[&"x".repeat(64 * 1024 + 1)])]);
    work(&fake).await;
    let failed = &fake.bodies("fail")[0];
    assert_eq!((&failed["retryable"], fake.count("completions")), (&json!(false), 1));
}

#[tokio::test(start_paused = true)]
async fn the_user_of_a_request_is_a_hash_of_the_conversation_id() {
    let fake = Fake::default();
    fake.script("poll", [job("m1", "one"), job("m1", "two"), job("m2", "three")]);
    fake.script("completions", [stream(&["a"]), stream(&["b"]), stream(&["c"])]);
    work(&fake).await;
    let users: Vec<_> = fake.bodies("completions").iter().map(|body| body["user"].clone()).collect();
    assert_eq!(users[0], users[1]);
    assert_ne!(users[1], users[2]);
    assert!(users[0].as_str().is_some_and(|user| user.len() == 64 && !user.contains("m1")), "{users:?}");
}
