//! Push jobs and their dispatches, as a consumer app and an operator see them.

use af_domain::time::Millis;
use af_tests::calls::Answer;
use http::Method;
use serde_json::{Value, json};

use crate::api::World;

const JOBS: &str = "/v1/users/ann/agents/support/push-jobs";
const DISPATCHES: &str = "/v1/users/ann/agents/support/push-dispatches";
/// 2026-01-01, 09:30 in Rome.
const HALF_PAST_NINE: u64 = 1_767_256_200_000;
const DAY: Millis = Millis::from_days(1);

fn daily() -> Value {
    json!({
        "title": "Morning", "text": "What is due today?", "timezone": "Europe/Rome",
        "schedule": {"kind": "daily", "time": "09:30"},
    })
}

/// A deployment in which Ann is bound to the agent.
async fn world() -> World {
    let world = World::new().await;
    world.bind("ann", "support").await;
    world
}

async fn create(world: &World, body: Value) -> Value {
    world.api.post(JOBS, body).send().await.body_of(201)
}

/// The path of a job.
fn at(job: &Value) -> String {
    format!("{JOBS}/{}", job["pushJobId"].as_str().unwrap())
}

async fn patch(world: &World, job: &Value, body: Value) -> Answer {
    world.api.call(Method::PATCH, &at(job)).json(&body).send().await
}

async fn trigger(world: &World, job: &Value, key: &str) -> Answer {
    let call = world.api.call(Method::POST, &format!("{}/trigger", at(job)));
    call.header("idempotency-key", key).send().await
}

async fn dispatch(world: &World) -> Value {
    world.api.call(Method::POST, "/v1/push-jobs/dispatch").send().await.body_of(200)
}

async fn get(world: &World, path: &str) -> Value {
    world.api.get(path).send().await.body_of(200)
}

#[tokio::test]
async fn a_job_is_created_shown_listed_changed_and_deleted() {
    let world = world().await;
    let made = create(&world, daily()).await;
    let start = af_tests::bundle::START.as_millis();
    let expected = json!({
        "pushJobId": made["pushJobId"], "companyId": "default", "consumerUserId": "ann", "agentKey": "support",
        "title": "Morning", "text": "What is due today?", "periodicity": "daily", "timezone": "Europe/Rome",
        "schedule": {"kind": "daily", "time": "09:30"}, "enabled": true, "nextRunAt": HALF_PAST_NINE,
        "createdAt": start, "updatedAt": start,
    });
    assert_eq!(made, expected);
    assert_eq!(get(&world, &at(&made)).await, expected);
    assert_eq!(get(&world, JOBS).await, json!({"items": [expected.clone()]}));
    assert_eq!(get(&world, "/v1/push-jobs").await, json!({"items": [expected.clone()]}));
    assert_eq!(get(&world, "/v1/push-jobs?companyId=acme").await, json!({"items": []}));

    // Friday is the second day of 2026.
    let weekly = json!({"schedule": {"kind": "weekly", "weekday": 5, "time": "09:30"}, "title": "Week"});
    let changed = patch(&world, &made, weekly).await.body_of(200);
    assert_eq!(changed["nextRunAt"], HALF_PAST_NINE + DAY.as_millis());
    assert_eq!((&changed["periodicity"], &changed["title"]), (&json!("weekly"), &json!("Week")));
    let disabled = patch(&world, &made, json!({"enabled": false})).await.body_of(200);
    assert_eq!((&disabled["enabled"], &disabled["nextRunAt"]), (&json!(false), &Value::Null));
    world.advance(Millis::from_days(2));
    assert_eq!(dispatch(&world).await["enqueued"], 0, "a disabled job does not run");
    let enabled = patch(&world, &made, json!({"enabled": true})).await.body_of(200);
    assert_eq!(enabled["nextRunAt"], HALF_PAST_NINE + 8 * DAY.as_millis(), "the next Friday");

    world.api.delete(&at(&made)).send().await.body_of(204);
    assert_eq!(world.api.get(&at(&made)).send().await.problem(), (404, "not_found"));
    assert_eq!(world.api.delete(&at(&made)).send().await.problem(), (404, "not_found"));
    assert_eq!(patch(&world, &made, json!({"title": "x"})).await.problem(), (404, "not_found"));
    assert_eq!(trigger(&world, &made, "k").await.problem(), (404, "not_found"));
    assert_eq!(get(&world, JOBS).await, json!({"items": []}));
}

#[tokio::test]
async fn every_kind_of_schedule_is_accepted_and_shown_as_it_was_said() {
    let world = world().await;
    for schedule in [
        json!({"kind": "manual"}),
        json!({"kind": "daily", "time": "00:00"}),
        json!({"kind": "weekly", "weekday": 7, "time": "23:59"}),
        json!({"kind": "monthly", "dayOfMonth": 31, "time": "12:00"}),
        json!({"kind": "monthly", "dayOfMonth": "last", "time": "12:00"}),
    ] {
        let mut body = daily();
        body["schedule"] = schedule.clone();
        body["periodicity"] = schedule["kind"].clone();
        let made = create(&world, body).await;
        assert_eq!((&made["schedule"], &made["periodicity"]), (&schedule, &schedule["kind"]));
        assert_eq!(made["nextRunAt"].is_null(), schedule["kind"] == "manual");
    }
}

/// Asserts that a new job with each change is refused with this field and this part of the explanation.
async fn assert_refused<const N: usize>(world: &World, changes: [(Value, &str, &str); N]) {
    for (change, pointer, fix) in changes {
        let mut body = daily();
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let answer = world.refused(world.api.post(JOBS, body)).await;
        assert_eq!(answer.problem(), (422, "invalid_field"), "{change}: {}", answer.body);
        assert_eq!(answer.pointer(), pointer, "{change}: {}", answer.body);
        assert!(answer.body.to_string().contains(fix), "{change}: {}", answer.body);
    }
}

#[tokio::test]
async fn an_invalid_schedule_is_refused_with_its_field_and_the_fix() {
    let world = world().await;
    let changes = [
        (json!({"schedule": {"kind": "minutely", "time": "09:30"}}), "/schedule/kind", "by the minute"),
        (json!({"schedule": {"kind": "hourly"}}), "/schedule/kind", "refused by design"),
        (json!({"schedule": {"kind": "daily", "time": "*/5"}}), "/schedule/time", "by the minute"),
        (json!({"schedule": {"kind": "daily", "time": "24:00"}}), "/schedule/time", "00:00 to 23:59"),
        (json!({"schedule": {"kind": "daily", "time": "9:30"}}), "/schedule/time", "HH:mm"),
        (json!({"schedule": {"kind": "daily"}}), "/schedule/time", "needs a time"),
        (json!({"schedule": {"kind": "manual", "time": "09:30"}}), "/schedule/time", "remove it"),
        (json!({"schedule": {"kind": "weekly", "time": "09:30"}}), "/schedule/weekday", "1 for Monday"),
        (
            json!({"schedule": {"kind": "weekly", "weekday": 0, "time": "09:30"}}),
            "/schedule/weekday",
            "1 for Monday",
        ),
        (
            json!({"schedule": {"kind": "weekly", "weekday": 8, "time": "09:30"}}),
            "/schedule/weekday",
            "7 for Sunday",
        ),
        (
            json!({"schedule": {"kind": "daily", "weekday": 1, "time": "09:30"}}),
            "/schedule/weekday",
            "remove it",
        ),
        (
            json!({"schedule": {"kind": "monthly", "time": "09:30"}}),
            "/schedule/dayOfMonth",
            "1 to 31, or last",
        ),
        (
            json!({"schedule": {"kind": "monthly", "dayOfMonth": 0, "time": "09:30"}}),
            "/schedule/dayOfMonth",
            "1 to 31",
        ),
        (
            json!({"schedule": {"kind": "monthly", "dayOfMonth": 32, "time": "09:30"}}),
            "/schedule/dayOfMonth",
            "1 to 31",
        ),
        (
            json!({"schedule": {"kind": "monthly", "dayOfMonth": "first", "time": "09:30"}}),
            "/schedule/dayOfMonth",
            "last",
        ),
        (
            json!({"schedule": {"kind": "daily", "time": "09:30", "everyMinutes": 5}}),
            "/schedule/everyMinutes",
            "no field",
        ),
    ];
    assert_refused(&world, changes).await;
}

#[tokio::test]
async fn an_invalid_job_is_refused_with_its_field_and_the_fix() {
    let world = world().await;
    let changes = [
        (json!({"schedule": null}), "/schedule", "required"),
        (json!({"periodicity": "weekly"}), "/schedule/kind", "make them the same"),
        (json!({"periodicity": "minutely"}), "/periodicity", "by the minute"),
        (json!({"timezone": "Mars/Olympus"}), "/timezone", "Europe/Rome"),
        (json!({"timezone": "CEST"}), "/timezone", "Europe/Rome"),
        (json!({"timezone": null}), "/timezone", "required"),
        (json!({"title": " "}), "/title", "1 to 200"),
        (json!({"title": "x".repeat(201)}), "/title", "1 to 200"),
        (json!({"text": ""}), "/text", "1 to 4000"),
        (json!({"text": null}), "/text", "required"),
        (json!({"companyId": "a b"}), "/companyId", "1 to 64"),
        (json!({"sourceTemplateId": "morning"}), "/sourceTemplateId", "acme:morning"),
    ];
    assert_refused(&world, changes).await;
    let made = create(&world, daily()).await;
    for (change, pointer) in [
        (json!({"schedule": {"kind": "minutely"}}), "/schedule/kind"),
        (json!({"periodicity": "weekly"}), "/schedule/kind"),
        (json!({"timezone": "Mars/Olympus"}), "/timezone"),
        (json!({"text": " "}), "/text"),
        (json!({"agentKey": "sales"}), "/agentKey"),
    ] {
        let call = world.api.call(Method::PATCH, &at(&made)).json(&change);
        let answer = world.refused(call).await;
        assert_eq!((answer.problem(), answer.pointer()), ((422, "invalid_field"), pointer), "{change}");
    }
}

#[tokio::test]
async fn an_agent_that_is_not_the_active_one_is_refused_with_the_fix() {
    let world = World::new().await;
    world.agent("sales").await;
    let unbound = world.refused(world.api.post(JOBS, daily())).await;
    assert_eq!((unbound.problem(), unbound.pointer()), ((404, "not_found"), "/agentKey"));
    assert!(unbound.detail().contains("PUT /v1/users"), "{}", unbound.body);
    world.bind("ann", "sales").await;
    let other = world.refused(world.api.post(JOBS, daily())).await;
    assert_eq!((other.problem(), other.pointer()), ((409, "conflict"), "/agentKey"));
    assert!(other.detail().contains("which is sales"), "{}", other.body);
}

#[tokio::test]
async fn a_job_of_another_user_or_agent_is_not_found() {
    let world = world().await;
    world.bind("bob", "support").await;
    let made = create(&world, daily()).await;
    let id = made["pushJobId"].as_str().unwrap();
    for path in [
        format!("/v1/users/bob/agents/support/push-jobs/{id}"),
        format!("/v1/users/ann/agents/sales/push-jobs/{id}"),
    ] {
        for (method, path) in [
            (Method::GET, path.clone()),
            (Method::DELETE, path.clone()),
            (Method::PATCH, path.clone()),
            (Method::POST, format!("{path}/trigger")),
        ] {
            let call = world.api.call(method.clone(), &path);
            let call = if method == Method::PATCH { call.json(&json!({"title": "x"})) } else { call };
            assert_eq!(world.refused(call).await.problem(), (404, "not_found"), "{method} {path}");
        }
    }
    assert_eq!(get(&world, "/v1/users/bob/agents/support/push-jobs").await, json!({"items": []}));
    assert_eq!(get(&world, "/v1/users/bob/agents/support/push-dispatches").await, json!({"items": []}));
}

#[tokio::test]
async fn a_job_runs_at_its_time_and_the_audit_shows_each_state() {
    let world = world().await;
    let made = create(&world, daily()).await;
    world.advance(Millis::new(HALF_PAST_NINE - af_tests::bundle::START.as_millis() - 1));
    assert_eq!(dispatch(&world).await["enqueued"], 0);
    world.advance(Millis::new(1));
    assert_eq!(dispatch(&world).await["enqueued"], 1);
    // Three days without the dispatcher: one message, and a record for each missed slot.
    world.advance(Millis::from_days(3));
    let caught_up = dispatch(&world).await;
    assert_eq!((&caught_up["enqueued"], &caught_up["skipped"]), (&json!(1), &json!(2)));
    // No active binding: the slot has failed, and the job goes on.
    world.api.delete("/v1/users/ann/binding").send().await.body_of(204);
    world.advance(DAY);
    assert_eq!(dispatch(&world).await["failed"], 1);
    let job = get(&world, &at(&made)).await;
    assert_eq!(job["nextRunAt"], HALF_PAST_NINE + 5 * DAY.as_millis());
    assert_eq!(job["enabled"], true);

    let listed = get(&world, DISPATCHES).await;
    let shown: Vec<_> =
        listed["items"].as_array().unwrap().iter().map(|d| d["status"].as_str().unwrap()).collect();
    assert_eq!(shown.first(), Some(&"failed"));
    assert_eq!(shown.iter().filter(|status| **status == "enqueued").count(), 2);
    let by_job =
        get(&world, &format!("/v1/push-jobs/{}/dispatches", made["pushJobId"].as_str().unwrap())).await;
    let slots: Vec<u64> =
        by_job["items"].as_array().unwrap().iter().map(|d| d["scheduledFor"].as_u64().unwrap()).collect();
    let expected: Vec<u64> = (0..5).rev().map(|day| HALF_PAST_NINE + day * DAY.as_millis()).collect();
    assert_eq!(slots, expected, "every due slot has one record, the newest first");
    let newest = &by_job["items"][0];
    assert_eq!(newest["error"], "user ann has no active binding");
    assert_eq!(newest["runKey"], job["lastRunKey"]);
    let ran = &by_job["items"][4];
    let message = world.message(&ran["enqueuedMessageId"]).await;
    assert_eq!(message["payload"]["messageText"], "What is due today?");
    assert_eq!(message["payload"]["metadata"]["pushMode"], "scheduled");
    let by_agent = get(&world, "/v1/push-dispatches?agentKey=support&consumerUserId=ann").await;
    assert_eq!(by_agent["items"], listed["items"]);
}

#[tokio::test]
async fn dispatches_and_jobs_are_paged() {
    let world = world().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let made = create(&world, daily()).await;
        trigger(&world, &made, made["pushJobId"].as_str().unwrap()).await.body_of(202);
        ids.push(made["pushJobId"].clone());
        world.advance(Millis::new(1));
    }
    ids.reverse();
    for (path, field) in [(JOBS, "pushJobId"), ("/v1/push-jobs", "pushJobId"), (DISPATCHES, "jobId")] {
        let (mut query, mut found) = (String::new(), Vec::new());
        for _ in 0..4 {
            let page = get(&world, &format!("{path}?limit=1{query}")).await;
            found.extend(page["items"].as_array().unwrap().iter().map(|item| item[field].clone()));
            let Some(cursor) = page["nextCursor"].as_str() else { break };
            query = format!("&cursor={cursor}");
        }
        assert_eq!(found, ids, "{path}, the newest first");
    }
}

#[tokio::test]
async fn a_trigger_runs_once_for_each_key_and_moves_no_schedule() {
    let world = world().await;
    let made = create(&world, daily()).await;
    let first = trigger(&world, &made, "one").await.body_of(202);
    assert_eq!(first["status"], "enqueued");
    assert!(first["runKey"].as_str().unwrap().starts_with("manual:"));
    assert_eq!(trigger(&world, &made, "one").await.body_of(202), first, "a repetition");
    let second = trigger(&world, &made, "two").await.body_of(202);
    assert_ne!(second["runKey"], first["runKey"]);
    let message = world.message(&first["enqueuedMessageId"]).await;
    assert_eq!(message["payload"]["metadata"]["pushMode"], "manual");
    let after = get(&world, &at(&made)).await;
    assert_eq!((&after["nextRunAt"], &after["lastRunKey"]), (&made["nextRunAt"], &second["runKey"]));
    assert_eq!(get(&world, DISPATCHES).await["items"].as_array().unwrap().len(), 2);

    let other = create(&world, daily()).await;
    assert_eq!(trigger(&world, &other, "one").await.problem(), (422, "idempotency_mismatch"));
    // A disabled job can be triggered. A disabled agent and a user without a binding cannot.
    patch(&world, &made, json!({"enabled": false})).await.body_of(200);
    trigger(&world, &made, "three").await.body_of(202);
    world.api.put("/v1/agents/support", json!({"version": "1", "enabled": false})).send().await.body_of(200);
    world.expire_caches();
    assert_eq!(trigger(&world, &made, "four").await.problem(), (409, "agent_disabled"));
    world.api.delete("/v1/users/ann/binding").send().await.body_of(204);
    assert_eq!(trigger(&world, &made, "four").await.problem(), (404, "not_found"));
}

#[tokio::test]
async fn a_repeated_creation_makes_one_job() {
    let world = world().await;
    let keyed = |body: Value| world.api.post(JOBS, body).header("idempotency-key", "k");
    let first = keyed(daily()).send().await.body_of(201);
    assert_eq!(keyed(daily()).send().await.body_of(201), first);
    let mut other = daily();
    other["title"] = json!("Evening");
    assert_eq!(world.refused(keyed(other)).await.problem(), (422, "idempotency_mismatch"));
    assert_eq!(get(&world, JOBS).await["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_user_has_a_hundred_jobs_with_an_agent_at_most() {
    let world = world().await;
    for _ in 0..100 {
        create(&world, daily()).await;
    }
    let refused = world.refused(world.api.post(JOBS, daily())).await;
    assert_eq!(refused.problem(), (409, "conflict"));
    assert!(refused.detail().contains("delete one"), "{}", refused.body);
    let listed = get(&world, &format!("{JOBS}?limit=1")).await;
    world.api.delete(&at(&listed["items"][0])).send().await.body_of(204);
    create(&world, daily()).await;
}

#[tokio::test]
async fn a_user_with_a_chat_gets_the_message_there() {
    let world = World::new().await;
    let (store, now) = (&world.app.store, world.app.now());
    let agent = af_domain::ids::AgentKey::parse("support").unwrap();
    let mut binding = af_tests::push::bind(&world.app, &agent, 1).await;
    let person = af_domain::ids::TelegramUserId::parse("42").unwrap();
    binding.telegram = Some(af_domain::agent::TelegramIdentity {
        bot: af_domain::ids::BotIdentity::parse("77").unwrap(),
        user: Some(person.clone()),
        chat: Some(person),
    });
    let before = store.binding(&binding.user, true).await.unwrap().unwrap();
    store.bind_if_unchanged(&binding, &[before]).await.unwrap();
    let job = af_tests::push::job(&agent, 1, "daily 09:30", now);
    af_tests::push::store(&world.app, &job).await;
    world.advance(DAY);
    assert_eq!(dispatch(&world).await["enqueued"], 1);
    let listed = get(&world, &format!("/v1/push-jobs/{}/dispatches", job.id)).await;
    let message = world.message(&listed["items"][0]["enqueuedMessageId"]).await;
    let payload = &message["payload"];
    assert_eq!((&payload["provider"], &payload["providerUserId"]), (&json!("telegram"), &json!("42")));
    assert_eq!(payload["metadata"]["telegramChatId"], "42");
    assert_eq!(payload["metadata"]["telegramUserId"], "42");
}
