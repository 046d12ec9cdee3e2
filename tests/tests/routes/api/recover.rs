use af_domain::ids::WorkerId;
use af_domain::policy::Policies;
use af_domain::time::Millis;
use af_domain::worker::DrainReason;
use af_store::{conversation_key, keys};
use serde_json::{Value, json};

use crate::api::World;

impl World {
    /// Deletes a worker's row directly in the table.
    async fn delete_row(&self, worker: &str) {
        let key = keys::worker(&WorkerId::parse(worker).unwrap());
        let request = json!({
            "TableName": self.bundle.template.tables[0].name,
            "Key": {"pk": {"S": key.pk}, "sk": {"S": key.sk}},
        });
        assert_eq!(self.bundle.aws.engine().call("DeleteItem", request).await.status, 200);
    }

    async fn recover(&self, body: Value) -> Value {
        self.api.post("/v1/queue/recover", body).send().await.body_of(200)
    }
}

#[tokio::test]
pub async fn a_conversation_of_a_worker_without_a_row_is_found_and_repaired() {
    let world = World::new().await;
    world.enqueue("quiet", "hello").await;
    let message = world.enqueue("c", "hello").await;
    let body = json!({"workerId": "w-1", "conversationId": "c"});
    let token = world.api.post("/v1/workers", body).send().await.body_of(201)["token"].clone();
    world.poll(token.as_str().unwrap(), json!({"conversationId": "c"})).await;
    assert_eq!(world.recover(json!({})).await, json!({"checked": 2, "found": []}));
    world.delete_row("w-1").await;

    let problem =
        |problem: &str, repaired| json!({"conversationId": "c", "problem": problem, "repaired": repaired});
    let both = |repaired| {
        [
            problem("its lease is held by worker w-1, which does not own it or has no row", repaired),
            problem("its owner, worker w-1, has no row that names it", repaired),
        ]
    };
    assert_eq!(world.recover(json!({"repair": false})).await["found"], json!(both(false)));
    assert_eq!(world.recover(json!({"repair": true})).await["found"], json!(both(true)));
    assert_eq!(world.recover(json!({"repair": true})).await, json!({"checked": 2, "found": []}));
    let shown = world.api.get(&format!("/v1/messages/{message}")).send().await.body_of(200);
    assert_eq!((&shown["status"], &shown["attempts"]), (&json!("queued"), &json!(1)));
    assert_eq!(shown["lastError"], "worker w-1 is gone");
}

#[tokio::test]
async fn an_invalid_recover_request_is_refused_with_its_field() {
    let world = World::new().await;
    for (body, pointer) in [
        (json!({"cursor": "invalid"}), "/cursor"),
        (json!({"repair": "yes"}), "/repair"),
        (json!({"fix": true}), "/fix"),
    ] {
        let answer = world.refused(world.api.post("/v1/queue/recover", body)).await;
        assert_eq!((answer.problem(), answer.pointer()), ((422, "invalid_field"), pointer));
    }
    world.enqueue("c", "one").await;
    world.enqueue("c", "two").await;
    let page = world.api.get("/v1/queue/messages?conversationId=c&limit=1").send().await.body_of(200);
    let foreign = json!({"cursor": page["nextCursor"]});
    let answer = world.refused(world.api.post("/v1/queue/recover", foreign)).await;
    assert_eq!((answer.problem(), answer.pointer()), ((422, "invalid_field"), "/cursor"));
}

#[tokio::test]
async fn a_message_that_a_draining_worker_hands_back_does_not_count_an_attempt() {
    let world = World::new().await;
    let message = world.enqueue("c", "hello").await;
    let body = json!({"workerId": "w-1", "conversationId": "c"});
    let token = world.api.post("/v1/workers", body).send().await.body_of(201)["token"].clone();
    let token = token.as_str().unwrap();
    let job = world.poll(token, json!({"conversationId": "c"})).await["job"].clone();
    let (app, policies) = (world.bundle.app("reconcile"), Policies::default());
    let row = app.store.worker(&WorkerId::parse("w-1").unwrap()).await.unwrap().unwrap();
    let key = conversation_key(&row.assignment.as_ref().unwrap().conversation);
    let owned = app.store.conversation(&key, true).await.unwrap();
    let drained = row.drain(DrainReason::Operator, app.now(), &policies).unwrap();
    app.store.drain_if_active(&drained, owned.as_ref(), &policies).await.unwrap();

    world.bundle.clock.advance(Millis::from_secs(1));
    let body = json!({
        "leaseId": job["leaseId"], "fence": job["fence"], "errorMessage": "drain requested", "drained": true,
    });
    let path = format!("/v1/worker/messages/{message}/fail");
    let answer = world.api.post(&path, body).key(token).send().await.body_of(200);
    let now = app.now().as_millis();
    assert_eq!(answer, json!({"requeued": true, "deadLettered": false, "nextScheduledFor": now}));
    let shown = world.api.get(&format!("/v1/messages/{message}")).send().await.body_of(200);
    assert_eq!((&shown["attempts"], &shown["lastError"]), (&json!(0), &json!("drained: drain requested")));
}
