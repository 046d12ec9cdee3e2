//! The worker against a scripted server. Time is virtual, so waits take no real time.

use std::time::Duration;

use crate::support::{
    Answer, Fake, cancelled, config, held, held_but_stop, job, never, not_held, nothing, ok, problem, stop,
    switch, switch_from,
};
use af_agent::{AgentError, Exit, UNREACHABLE_EXIT, run};
use serde_json::json;
use tokio::time::Instant;

async fn run_to_the_end(fake: &Fake) -> Result<Exit, AgentError> {
    let url = fake.serve().await;
    run(config(&url, &[]), never()).await
}

#[tokio::test(start_paused = true)]
async fn a_message_is_answered_and_completed_once_with_its_history() {
    let fake = Fake::default();
    fake.script("poll", [nothing(), job("m1", "hello"), job("m2", "again")]);
    assert_eq!(run_to_the_end(&fake).await.unwrap(), Exit::Stopped);
    assert_eq!(fake.names(), ["poll", "poll", "complete", "poll", "complete", "poll", "farewell"]);
    assert_eq!(fake.calls()[2].path, "/v1/worker/messages/m1/complete");
    assert_eq!(
        fake.bodies("complete")[0],
        json!({
            "leaseId": "lease-of-m1", "fence": 3, "reply": {"text": "echo: hello", "format": "plain"},
            "history": [
                {"role": "user", "content": "hello", "at": 1_000_000},
                {"role": "assistant", "content": "echo: hello", "at": 1_000_000},
            ],
        })
    );
    let polls = fake.bodies("poll");
    assert_eq!(polls[0], json!({"load": 0, "hydrate": true, "release": false, "waitMs": 5_000}));
    assert_eq!(polls[2]["conversationId"], "conversation-of-m1");
}

#[tokio::test(start_paused = true)]
async fn heartbeats_are_sent_during_the_work_and_history_has_the_servers_time() {
    let fake = Fake::default();
    fake.script("poll", [nothing(), job("m1", "/sleep 40000")]);
    run_to_the_end(&fake).await.unwrap();
    assert_eq!(fake.names(), ["poll", "poll", "heartbeat", "heartbeat", "complete", "poll", "farewell"]);
    assert_eq!(fake.bodies("heartbeat")[0], json!({"leaseId": "lease-of-m1", "fence": 3}));
    let at = fake.bodies("complete")[0]["history"][1]["at"].as_u64().unwrap();
    // 10 s after the last heartbeat, which renewed the lease at 1 000 000 by the server's clock.
    assert!((1_010_000..1_010_100).contains(&at), "{at}");
}

#[tokio::test(start_paused = true)]
async fn a_complete_whose_answer_was_lost_is_sent_again_with_the_same_lease() {
    let fake = Fake::default();
    fake.script("poll", [job("m1", "hello")]);
    fake.script("complete", [Answer::Lost, problem(503, "unavailable"), ok(json!({"completed": true}))]);
    run_to_the_end(&fake).await.unwrap();
    let completes = fake.bodies("complete");
    assert_eq!(completes.len(), 3);
    assert!(completes.iter().all(|body| *body == completes[0]), "the very same call");
}

#[tokio::test(start_paused = true)]
async fn a_complete_is_not_retried_after_the_trust_has_ended() {
    let fake = Fake::default();
    fake.script("poll", [nothing(), job("m1", "hello")]);
    fake.script("complete", (0..200).map(|_| problem(500, "internal")));
    let started = Instant::now();
    run_to_the_end(&fake).await.unwrap();
    // 1 s to the second poll, 60 s of trust, 1 s to the last poll.
    let took = started.elapsed();
    assert!((Duration::from_secs(61)..Duration::from_secs(64)).contains(&took), "{took:?}");
    assert_eq!(fake.count("fail"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_message_with_a_stale_lease_is_given_up_without_a_report() {
    let fake = Fake::default();
    fake.script("poll", [job("m1", "hello")]).script("complete", [problem(409, "stale_lease")]);
    assert_eq!(run_to_the_end(&fake).await.unwrap(), Exit::Stopped);
    assert_eq!((fake.count("complete"), fake.count("fail")), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_the_server_refuses_becomes_a_failure_without_retry() {
    let fake = Fake::default();
    fake.script("poll", [job("m1", "hello")]).script("complete", [problem(422, "too_large")]);
    run_to_the_end(&fake).await.unwrap();
    let fail = &fake.bodies("fail")[0];
    assert_eq!(fail["retryable"], false);
    assert!(fail["errorMessage"].as_str().unwrap().contains("too_large"), "{fail}");
}

#[tokio::test(start_paused = true)]
async fn a_failing_engine_fails_the_message() {
    let fake = Fake::default();
    fake.script("poll", [job("m1", "/fail no luck today\n\nsystem prompt")]);
    run_to_the_end(&fake).await.unwrap();
    let expected =
        json!({"leaseId": "lease-of-m1", "fence": 3, "errorMessage": "no luck today", "retryable": true});
    assert_eq!(fake.bodies("fail"), [expected]);
    assert_eq!(fake.count("complete"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_lost_lease_stops_the_engine_and_sends_nothing() {
    let fake = Fake::default();
    fake.script("poll", [nothing(), job("m1", "/sleep 600000")]);
    fake.script("heartbeat", [held(), not_held()]);
    let started = Instant::now();
    run_to_the_end(&fake).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(40), "{:?}", started.elapsed());
    assert_eq!((fake.count("complete"), fake.count("fail"), fake.count("sendMessage")), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn without_a_successful_heartbeat_the_engine_stops_when_the_trust_ends() {
    let fake = Fake::default();
    fake.script("poll", [nothing(), job("m1", "/sleep 600000")]);
    fake.script("heartbeat", [held()]).script("heartbeat", (0..200).map(|_| Answer::Lost));
    let started = Instant::now();
    run_to_the_end(&fake).await.unwrap();
    // 1 s to the second poll, 15 s to the heartbeat that succeeded, 60 s of trust from its start, 1 s to the last.
    let took = started.elapsed();
    assert!((Duration::from_secs(76)..Duration::from_secs(79)).contains(&took), "{took:?}");
    assert_eq!((fake.count("complete"), fake.count("fail"), fake.count("sendMessage")), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_lease_of_unknown_age_gets_a_heartbeat_at_once() {
    let last = || job("m1", "/sleep 1000");
    for (polls, beats, why) in [
        (vec![nothing(), last()], 0, "a new lease needs no heartbeat yet"),
        (vec![last()], 1, "an earlier process with the same worker id may have held it"),
        (vec![nothing(), Answer::Lost, last()], 1, "the lost answer may have held it"),
        (
            vec![nothing(), job("m0", "given up"), last()],
            1,
            "the worker may still hold a lease that it gave up",
        ),
    ] {
        let fake = Fake::default();
        fake.script("poll", polls.clone());
        if polls.len() == 3 {
            fake.script("complete", [problem(409, "stale_lease")]);
        }
        run_to_the_end(&fake).await.unwrap();
        assert_eq!(fake.count("heartbeat"), beats, "{why}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_message_is_stopped_and_failed_without_retry() {
    let fake = Fake::default();
    fake.script("poll", [nothing(), job("m1", "/sleep 600000")]).script("heartbeat", [cancelled()]);
    run_to_the_end(&fake).await.unwrap();
    let expected =
        json!({"leaseId": "lease-of-m1", "fence": 3, "errorMessage": "cancelled", "retryable": false});
    assert_eq!(fake.bodies("fail"), [expected]);
    assert_eq!(fake.count("complete"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_switch_releases_the_conversation_and_claims_another_in_the_same_call() {
    let fake = Fake::default();
    fake.script("poll", [job("m1", "hello"), switch(), job("m2", "other")]);
    run_to_the_end(&fake).await.unwrap();
    let polls = fake.bodies("poll");
    assert_eq!(polls[2]["release"], true);
    assert_eq!(polls[2]["conversationId"], "conversation-of-m1");
    assert_eq!(
        (&polls[3]["release"], &polls[3]["conversationId"]),
        (&json!(false), &json!("conversation-of-m2"))
    );
    assert_eq!(fake.count("complete"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_switch_releases_a_conversation_that_the_worker_did_not_know_of() {
    let fake = Fake::default();
    fake.script("poll", [nothing(), switch_from("with-a-lost-claim"), nothing()]);
    run_to_the_end(&fake).await.unwrap();
    let polls = fake.bodies("poll");
    assert_eq!(polls[1].get("conversationId"), None);
    assert_eq!(
        (&polls[2]["conversationId"], &polls[2]["release"], &polls[2]["discard"]),
        (&json!("with-a-lost-claim"), &json!(true), &json!(true))
    );
    assert_eq!(polls[3].get("conversationId"), None);
}

#[tokio::test(start_paused = true)]
async fn a_release_is_repeated_until_it_is_answered() {
    let fake = Fake::default();
    fake.script("poll", [job("m1", "hello"), switch(), problem(503, "busy"), switch(), nothing()]);
    run_to_the_end(&fake).await.unwrap();
    let polls = fake.bodies("poll");
    let released: Vec<_> = polls.iter().map(|poll| poll["release"].as_bool().unwrap()).collect();
    assert_eq!(released, [false, false, true, true, false, false]);
    assert_eq!(polls[3]["conversationId"], "conversation-of-m1");
    assert_eq!(polls[4].get("conversationId"), None);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_must_stop_finishes_its_message_first() {
    let fake = Fake::default();
    fake.script("poll", [nothing(), job("m1", "/sleep 20000"), job("m2", "never asked for")]);
    fake.script("heartbeat", [held_but_stop()]);
    assert_eq!(run_to_the_end(&fake).await.unwrap(), Exit::Stopped);
    assert_eq!(fake.names(), ["poll", "poll", "heartbeat", "complete", "farewell"]);
    assert_eq!(fake.bodies("farewell")[0]["discard"], true, "the worker has no files to keep");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_lets_the_running_message_finish_and_ends_polling() {
    let fake = Fake::default();
    fake.script("poll", [nothing(), job("m1", "/sleep 20000"), job("m2", "never asked for")]);
    let url = fake.serve().await;
    let shutdown = tokio::time::sleep(Duration::from_secs(5));
    assert_eq!(run(config(&url, &[]), shutdown).await.unwrap(), Exit::ShutDown);
    assert_eq!(fake.names(), ["poll", "poll", "heartbeat", "complete", "farewell"]);
    assert_eq!(fake.bodies("farewell")[0]["discard"], true, "the worker has no files to keep");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_cuts_a_message_off_at_its_limit_and_hands_it_back() {
    let fake = Fake::default();
    fake.script("poll", [nothing(), job("m1", "/sleep 600000")]);
    let url = fake.serve().await;
    let started = Instant::now();
    let config = config(&url, &[("AGENT_FACTORY_SHUTDOWN_MS", "30000")]);
    let shutdown = tokio::time::sleep(Duration::from_secs(5));
    assert_eq!(run(config, shutdown).await.unwrap(), Exit::ShutDown);
    assert_eq!(started.elapsed().as_secs(), 35);
    let fail = &fake.bodies("fail")[0];
    assert_eq!((&fail["retryable"], &fail["drained"]), (&json!(true), &json!(true)));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_of_a_waiting_worker_is_immediate() {
    let fake = Fake::default();
    fake.script("poll", (0..100).map(|_| nothing()));
    let url = fake.serve().await;
    let shutdown = tokio::time::sleep(Duration::from_millis(4_500));
    let started = Instant::now();
    assert_eq!(run(config(&url, &[]), shutdown).await.unwrap(), Exit::ShutDown);
    assert_eq!((started.elapsed().as_millis() / 100, fake.count("poll")), (45, 5));
}

#[tokio::test(start_paused = true)]
async fn a_worker_ends_when_its_server_stays_unreachable() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let started = Instant::now();
    let end = run(config(&url, &[]), never()).await;
    assert!(matches!(end, Err(AgentError::Unreachable(_))), "{end:?}");
    let took = started.elapsed();
    assert!(took >= UNREACHABLE_EXIT && took < UNREACHABLE_EXIT + Duration::from_secs(6), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_worker_waits_for_a_server_that_answers_only_errors() {
    let fake = Fake::default();
    fake.script("poll", (0..60).map(|_| problem(500, "internal")));
    let started = Instant::now();
    assert_eq!(run_to_the_end(&fake).await.unwrap(), Exit::Stopped);
    assert!(started.elapsed() > UNREACHABLE_EXIT, "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_denied_worker_ends() {
    for call in ["poll", "heartbeat", "complete"] {
        let fake = Fake::default();
        if call != "poll" {
            fake.script("poll", [nothing(), job("m1", "/sleep 20000")]);
        }
        fake.script(call, [problem(401, "unauthorized")]);
        let end = run_to_the_end(&fake).await;
        assert!(matches!(end, Err(AgentError::Denied { status: 401 })), "{call}: {end:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_without_a_bundle_is_handed_back() {
    let fake = Fake::default();
    let Answer::Json(status, mut answer) = job("m1", "hello") else { unreachable!() };
    answer["bundle"] = json!(null);
    fake.script("poll", [Answer::Json(status, answer), stop()]);
    run_to_the_end(&fake).await.unwrap();
    assert_eq!((fake.count("complete"), &fake.bodies("fail")[0]["retryable"]), (0, &json!(true)));
}
