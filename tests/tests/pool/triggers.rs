//! Many triggers at the same time: the stream, the schedule and operators all call reconcile, and only one call runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use af_app::App;
use af_app::pool::reconcile::{Reconciled, reconcile};
use af_emulator_aws::{Fault, Faults, WireRequest};
use aws_smithy_types::retry::RetryConfig;
use futures::future::join_all;
use serde_json::json;

use crate::world::World;

const TRIGGERS: usize = 50;

/// Counts the queries of all workers; each run makes one.
#[derive(Default)]
struct WorkerQueries(AtomicUsize);

impl Faults for WorkerQueries {
    fn before(&self, request: &WireRequest) -> Fault {
        let is_of_workers = request.body["ExpressionAttributeValues"][":pk"]["S"] == "W";
        if request.operation == "Query" && is_of_workers {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
        Fault::None
    }
}

#[tokio::test]
async fn of_fifty_concurrent_triggers_one_reconciles_twice_and_the_others_do_nothing() {
    let world = World::with_policies(json!({})).await;
    for conversation in ["conversation-0", "conversation-1", "conversation-2"] {
        world.enqueue(conversation).await;
    }
    let queries = Arc::new(WorkerQueries::default());
    let function = || {
        let mut boot = world.bundle.boot("reconcile");
        boot.sdk = world.bundle.aws.clone().with_faults(queries.clone()).sdk_config(RetryConfig::disabled());
        App::from_boot(&boot).unwrap()
    };
    let functions: Vec<App> = (0..TRIGGERS).map(|_| function()).collect();
    let answers = join_all(functions.iter().map(|app| Box::pin(reconcile(app)))).await;

    let ran = answers.iter().filter(|a| matches!(a, Ok(Reconciled::Ran(_)))).count();
    let left = answers.iter().filter(|a| matches!(a, Ok(Reconciled::LeftToAnother))).count();
    assert_eq!((ran, left), (1, TRIGGERS - 1));
    assert_eq!(
        queries.0.load(Ordering::Relaxed),
        2,
        "one run for itself, and one for the triggers that came meanwhile"
    );
    world.assert_exclusive().await;
    assert_eq!(world.backend.created().machines.len(), 3);
    let mut conversations: Vec<_> = world.backend.created().conversations.into_values().flatten().collect();
    conversations.sort();
    assert_eq!(conversations, ["conversation-0", "conversation-1", "conversation-2"]);
    world.tick().await;
    assert_eq!(world.backend.created().machines.len(), 3, "no further machine is created");
}
