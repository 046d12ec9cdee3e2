//! A reply is sent once, even if something fails while it is sent or after that. Time is virtual.

use std::time::Duration;

use crate::support::{Answer, Fake, config, job, never, nothing, ok, problem, telegram_job};
use af_agent::{Exit, run};
use serde_json::{Value, json};
use tokio::time::Instant;

/// The same message, handed out again under a new lease as the next attempt. Its text fails an engine that runs.
fn again(message: &str) -> Answer {
    let Answer::Json(status, mut body) = telegram_job(message, "/fail the engine ran again") else {
        unreachable!()
    };
    body["job"]["leaseId"] = json!("second-lease");
    body["job"]["fence"] = json!(4);
    body["job"]["attempt"] = json!(2);
    Answer::Json(status, body)
}

fn rate_limited(seconds: u64) -> Answer {
    let parameters = json!({"retry_after": seconds});
    let body =
        json!({"ok": false, "error_code": 429, "description": "Too Many Requests", "parameters": parameters});
    Answer::Json(429, body)
}

fn sent() -> Answer {
    ok(json!({"ok": true, "result": {"message_id": 1}}))
}

/// Runs a worker with these polls. The server answers no `complete` before the poll number `recovered_at`.
async fn run_without_answers_to_complete(
    fake: &Fake,
    polls: impl IntoIterator<Item = Answer>,
    recovered_at: usize,
) {
    fake.script("poll", polls).script("complete", (0..500).map(|_| Answer::Lost));
    let url = fake.serve().await;
    let recover = async {
        fake.called("poll", recovered_at).await;
        fake.replace("complete", []);
    };
    let (end, ()) = tokio::join!(run(config(&url, &[]), never()), recover);
    assert_eq!(end.unwrap(), Exit::Stopped);
}

fn leases(completes: &[Value]) -> Vec<&str> {
    completes.iter().map(|body| body["leaseId"].as_str().unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_does_not_cut_off_a_reply_that_is_being_sent() {
    let fake = Fake::default();
    let long = "two halves ".repeat(400); // 4 400 characters; Telegram accepts 4 096.
    fake.script("poll", [nothing(), telegram_job("m1", &long)]);
    fake.script("sendMessage", [sent(), rate_limited(30)]); // The first half is sent when the shutdown begins.
    let url = fake.serve().await;
    let config = config(&url, &[("AGENT_FACTORY_SHUTDOWN_MS", "1000")]);
    let started = Instant::now();
    assert_eq!(run(config, fake.called("sendMessage", 2)).await.unwrap(), Exit::ShutDown);
    assert!(started.elapsed() >= Duration::from_secs(30), "{:?}", started.elapsed());
    assert_eq!((fake.count("sendMessage"), fake.count("complete"), fake.count("fail")), (3, 1, 0));
    assert_eq!(fake.bodies("complete")[0]["reply"], format!("echo: {long}"));
}

#[tokio::test(start_paused = true)]
async fn a_sending_that_fails_after_the_shutdown_is_not_handed_back() {
    let fake = Fake::default();
    fake.script("poll", [nothing(), telegram_job("m1", "hello")]);
    fake.script("sendMessage", [rate_limited(30), Answer::Lost]);
    let url = fake.serve().await;
    let config = config(&url, &[("AGENT_FACTORY_SHUTDOWN_MS", "1000")]);
    assert_eq!(run(config, fake.called("sendMessage", 1)).await.unwrap(), Exit::ShutDown);
    assert_eq!((fake.count("sendMessage"), fake.count("complete")), (2, 0));
    assert_eq!(fake.bodies("fail")[0]["retryable"], false);
}

#[tokio::test(start_paused = true)]
async fn a_message_with_a_delivered_reply_is_only_completed_when_it_is_handed_out_again() {
    let fake = Fake::default();
    run_without_answers_to_complete(&fake, [nothing(), telegram_job("m1", "hello"), again("m1")], 3).await;
    assert_eq!((fake.count("sendMessage"), fake.count("fail"), fake.count("heartbeat")), (1, 0, 1));
    let completes = fake.bodies("complete");
    let (first, last) = (&completes[0], completes.last().unwrap());
    assert_eq!((&last["leaseId"], &last["fence"]), (&json!("second-lease"), &json!(4)));
    assert_eq!((&last["reply"], &last["history"]), (&first["reply"], &first["history"]));
    assert_eq!(last["history"][0]["content"], "hello");
}

#[tokio::test(start_paused = true)]
async fn a_delivered_reply_is_remembered_until_the_server_knows_the_outcome() {
    let fake = Fake::default();
    fake.script("complete", [problem(409, "stale_lease")]);
    let polls = [telegram_job("m1", "hello"), job("m2", "other"), again("m1"), again("m1")];
    fake.script("poll", polls);
    let url = fake.serve().await;
    run(config(&url, &[]), never()).await.unwrap();
    assert_eq!(leases(&fake.bodies("complete")), ["lease-of-m1", "lease-of-m2", "second-lease"]);
    assert_eq!(fake.count("sendMessage"), 1);
    // After `complete`, a message that is handed out again needs a new reply.
    assert_eq!(fake.bodies("fail")[0]["errorMessage"], "the engine ran again");
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_was_not_delivered_is_made_anew() {
    let fake = Fake::default();
    run_without_answers_to_complete(&fake, [nothing(), job("m1", "hello"), again("m1")], 3).await;
    assert_eq!(fake.bodies("fail")[0]["errorMessage"], "the engine ran again");
}
