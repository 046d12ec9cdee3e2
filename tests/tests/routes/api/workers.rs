use af_domain::ids::WorkerId;
use af_domain::policy::Policies;
use af_domain::time::Millis;
use af_domain::worker::DrainReason;
use af_tests::bundle::START;
use serde_json::json;

use crate::api::World;

#[tokio::test]
async fn a_registered_worker_gets_its_token_and_its_environment() {
    let world = World::new().await;
    let answer = world.api.post("/v1/workers", json!({"workerId": "w-1"})).send().await.body_of(201);
    assert_eq!(answer["workerId"], "w-1");
    assert_eq!(answer["expiresAt"], START.as_millis() + Millis::from_days(30).as_millis());
    let env = &answer["env"];
    assert_eq!(env["AGENT_FACTORY_URL"], "https://factory.example");
    assert_eq!(env["AGENT_FACTORY_WORKER_TOKEN"], answer["token"]);
    assert_eq!(env["AGENT_FACTORY_WORKER_ID"], "w-1");
    assert!(env["OPENCLAW_CONVERSATION_ID"].is_null());
    let shown = world.api.get("/v1/workers/w-1").send().await.body_of(200);
    let expected = json!({
        "workerId": "w-1", "provider": "manual", "status": "active", "load": 0, "heartbeatAt": null,
        "registeredAt": START.as_millis(), "scheduledShutdownAt": START.as_millis() + 1_800_000,
        "snapshotMissed": false,
    });
    assert_eq!(shown, expected);
    let listed = world.api.get("/v1/workers").send().await.body_of(200);
    assert_eq!(listed, json!({"items": [expected], "lastReconcile": null}));
    let token = answer["token"].as_str().unwrap();
    assert!(!format!("{:?}", world.items().await).contains(token));
}

#[tokio::test]
async fn a_worker_may_be_registered_for_a_conversation() {
    let world = World::new().await;
    let id = world.enqueue("c", "hello").await;
    let body = json!({"workerId": "w-1", "conversationId": "c", "agentKey": "support"});
    let answer = world.api.post("/v1/workers", body).send().await.body_of(201);
    assert_eq!(answer["env"]["OPENCLAW_CONVERSATION_ID"], "c");
    assert_eq!(answer["env"]["OPENCLAW_AGENT_KEY"], "support");
    let token = answer["token"].as_str().unwrap();
    let polled = world.poll(token, json!({"conversationId": "c"})).await;
    assert_eq!(polled["job"]["messageId"], json!(id));
    let shown = world.api.get("/v1/workers/w-1").send().await.body_of(200);
    assert_eq!((&shown["load"], &shown["heartbeatAt"]), (&json!(1), &json!(START.as_millis())));
    let assignment = json!({"conversationId": "c", "agentKey": "support", "assignedAt": START.as_millis()});
    assert_eq!(shown["assignment"], assignment);
    assert!(shown["scheduledShutdownAt"].is_null(), "the worker has a message to run");
}

#[tokio::test]
async fn an_invalid_registration_is_refused_with_its_reason() {
    let world = World::new().await;
    world.enqueue("c", "hello").await;
    world.enqueue("owned", "hello").await;
    world
        .api
        .post("/v1/workers", json!({"workerId": "w-1", "conversationId": "owned"}))
        .send()
        .await
        .body_of(201);
    for (body, problem) in [
        (json!({"workerId": "w-1"}), (409, "already_exists")),
        (json!({"workerId": "w-2", "conversationId": "unknown"}), (404, "not_found")),
        (json!({"workerId": "w-2", "conversationId": "owned"}), (409, "conflict")),
        (json!({"workerId": "w-2", "conversationId": "c", "agentKey": "sales"}), (409, "agent_mismatch")),
        (json!({"workerId": "w-2", "agentKey": "support"}), (422, "invalid_field")),
    ] {
        let answer = world.refused(world.api.post("/v1/workers", body)).await;
        assert_eq!(answer.problem(), problem, "{}", answer.body);
    }
    assert_eq!(world.api.get("/v1/workers/w-2").send().await.problem(), (404, "not_found"));
}

#[tokio::test]
async fn the_url_of_a_worker_is_the_host_of_the_operators_call() {
    let world = World::new().await;
    let register = |id: &str| world.api.post("/v1/workers", json!({"workerId": id}));
    let local = register("w-1").header("host", "127.0.0.1:8787").send().await.body_of(201);
    assert_eq!(local["env"]["AGENT_FACTORY_URL"], "http://127.0.0.1:8787");
    let forwarded =
        register("w-2").header("x-forwarded-host", "a.example").header("x-forwarded-proto", "https");
    assert_eq!(forwarded.send().await.body_of(201)["env"]["AGENT_FACTORY_URL"], "https://a.example");
    let nowhere = register("w-3").header("host", "no host");
    assert_eq!(world.refused(nowhere).await.problem(), (409, "not_configured"));
}

#[tokio::test]
async fn the_url_secret_comes_before_the_host_of_the_call() {
    let world = World::new().await;
    let own = |url: &str| world.api.put("/v1/secrets/factory.url", json!({"plaintextValue": url}));
    for bad in ["http://a.example", "a.example", "https://a.example/?b=1", "https://user@a.example"] {
        let answer = world.refused(own(bad)).await;
        assert_eq!(
            (answer.problem(), answer.pointer()),
            ((422, "invalid_field"), "/plaintextValue"),
            "{bad}"
        );
    }
    own("https://a.example/factory/").send().await.body_of(200);
    let register = world.api.post("/v1/workers", json!({"workerId": "w-1"}));
    let registered = register.header("host", "b.example").send().await.body_of(201);
    assert_eq!(registered["env"]["AGENT_FACTORY_URL"], "https://a.example/factory");
    let token = registered["token"].as_str().unwrap();
    assert_eq!(registered["env"]["CONVEX_URL"], format!("https://a.example/factory/w/{token}"));
}

#[tokio::test]
async fn a_dry_run_reports_and_changes_nothing() {
    let world = World::new().await;
    world.enqueue("c", "hello").await;
    let items = world.items().await;
    let report =
        world.api.call(http::Method::POST, "/v1/workers/reconcile?dryRun=true").send().await.body_of(200);
    assert_eq!(report["dryRun"], true);
    let first = &report["actions"][0];
    assert_eq!((&first["action"], &first["outcome"]), (&json!("spawn"), &json!("planned")));
    assert_eq!(world.items().await, items);
}

#[tokio::test]
async fn a_run_reports_missing_prerequisites_and_the_list_of_workers_shows_the_report() {
    let world = World::new().await;
    world.enqueue("c", "hello").await;
    let report = world.api.call(http::Method::POST, "/v1/workers/reconcile").send().await.body_of(200);
    assert_eq!(report["dryRun"], false);
    assert_eq!(report["errors"], json!(["Missing providerConfig.kind."]));
    let listed = world.api.get("/v1/workers").send().await.body_of(200);
    assert_eq!(listed["lastReconcile"], report);
    let odd = world.api.call(http::Method::POST, "/v1/workers/reconcile?dryRun=perhaps").send().await;
    assert_eq!((odd.problem(), odd.pointer()), ((422, "invalid_field"), "/dryRun"));
}

#[tokio::test]
async fn a_concurrent_run_is_left_to_the_holder_of_the_reconcile_lease() {
    let world = World::new().await;
    let app = world.bundle.app("reconcile");
    let holder = app.store.begin_reconcile(1, app.now()).await.unwrap();
    assert!(holder.is_some());
    let answer = world.api.call(http::Method::POST, "/v1/workers/reconcile").send().await;
    assert_eq!(answer.body_of(202), json!({"leftToAnother": true}));
}

#[tokio::test]
async fn a_worker_shows_that_it_drains_and_has_stopped() {
    let world = World::new().await;
    world.worker("w-1").await;
    let (app, policies) = (world.bundle.app("reconcile"), Policies::default());
    let worker = app.store.worker(&WorkerId::parse("w-1").unwrap()).await.unwrap().unwrap();
    let draining = worker.drain(DrainReason::Operator, app.now(), &policies).unwrap();
    app.store.drain_if_active(&draining, None, &policies).await.unwrap();
    let shown = world.api.get("/v1/workers/w-1").send().await.body_of(200);
    assert_eq!((&shown["status"], &shown["drainReason"]), (&json!("draining"), &json!("operator")));
    assert_eq!(shown["drainBy"], START.as_millis() + 300_000);
    assert!(shown["scheduledShutdownAt"].is_null());
    world.bundle.clock.advance(Millis::from_secs(300));
    world.api.call(http::Method::POST, "/v1/workers/reconcile").send().await.body_of(200);
    let shown = world.api.get("/v1/workers/w-1").send().await.body_of(200);
    assert_eq!(shown["status"], "stopped");
    assert!(shown["stoppedAt"].is_u64() && shown["drainBy"].is_null());
    assert_eq!(shown["drainReason"], "operator");
    assert_eq!(world.api.get("/v1/workers").send().await.body_of(200)["items"], json!([]));
}

#[tokio::test]
async fn a_stopped_worker_keeps_its_heartbeat_its_last_claim_and_its_drain_reason() {
    let world = World::new().await;
    world.enqueue("c", "hello").await;
    let token = world.worker("w-1").await;
    world.poll(&token, json!({})).await;
    world.bundle.clock.advance(Millis::from_secs(40));
    world.complete_one(&token, Some("c"), json!([])).await;
    let before = world.api.get("/v1/workers/w-1").send().await.body_of(200);
    let policies = Policies::default();
    // The worker falls silent, and its conversation is the only place with its last sign of life.
    world.bundle.clock.advance(policies.lease.stale_after);
    world.bundle.clock.advance(Millis::from_secs(60));
    for _ in 0..3 {
        world.reconcile().await;
        world.bundle.clock.advance(policies.scaling.drain_timeout);
    }
    let stopped = world.api.get("/v1/workers/w-1").send().await.body_of(200);
    assert_eq!((&stopped["status"], &stopped["drainReason"]), (&json!("stopped"), &json!("stale")));
    for kept in ["heartbeatAt", "lastClaimAt"] {
        assert_eq!(stopped[kept], before[kept], "{kept}");
        assert!(stopped[kept].is_u64(), "{kept}: {stopped}");
    }
}

#[tokio::test]
async fn a_worker_whose_conversation_was_freed_keeps_its_heartbeat_and_says_why_it_was_sent_away() {
    let world = World::new().await;
    world.enqueue("c", "hello").await;
    let token = world.worker("w-1").await;
    world.poll(&token, json!({})).await;
    let before = world.api.get("/v1/workers/w-1").send().await.body_of(200);
    world.bundle.clock.advance(Millis::from_secs(5));
    let free = world.api.post("/v1/conversations/c/free", json!({"reason": "it hangs"}));
    free.send().await.body_of(200);
    let freed = world.api.get("/v1/workers/w-1").send().await.body_of(200);
    assert_eq!((&freed["heartbeatAt"], &freed["drainReason"]), (&before["heartbeatAt"], &json!("operator")));
}
