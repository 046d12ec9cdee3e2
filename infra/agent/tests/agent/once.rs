//! A reply is made once, even if the server does not learn of it. Time is virtual.

use crate::support::{Answer, Fake, config, job, never, nothing, problem};
use af_agent::{Exit, run};
use serde_json::{Value, json};

/// The same message, handed out again under a new lease as the next attempt. Its text fails an engine that runs.
fn again(message: &str) -> Answer {
    let Answer::Json(status, mut body) = job(message, "/fail the engine ran again") else { unreachable!() };
    body["job"]["leaseId"] = json!("second-lease");
    body["job"]["fence"] = json!(4);
    body["job"]["attempt"] = json!(2);
    Answer::Json(status, body)
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
async fn a_message_whose_reply_was_made_is_only_completed_when_it_is_handed_out_again() {
    let fake = Fake::default();
    run_without_answers_to_complete(&fake, [nothing(), job("m1", "hello"), again("m1")], 3).await;
    assert_eq!(fake.count("fail"), 0);
    let completes = fake.bodies("complete");
    let (first, last) = (&completes[0], completes.last().unwrap());
    assert_eq!((&last["leaseId"], &last["fence"]), (&json!("second-lease"), &json!(4)));
    assert_eq!((&last["reply"], &last["history"]), (&first["reply"], &first["history"]));
    assert_eq!(last["history"][0]["content"], "hello");
}

#[tokio::test(start_paused = true)]
async fn a_reply_is_remembered_until_the_server_knows_the_outcome() {
    let fake = Fake::default();
    fake.script("complete", [problem(409, "stale_lease")]);
    let polls = [job("m1", "hello"), again("m1"), again("m1")];
    fake.script("poll", polls);
    let url = fake.serve().await;
    run(config(&url, &[]), never()).await.unwrap();
    assert_eq!(leases(&fake.bodies("complete")), ["lease-of-m1", "second-lease"]);
    // After `complete`, a message that is handed out again needs a new reply.
    assert_eq!(fake.bodies("fail")[0]["errorMessage"], "the engine ran again");
}
