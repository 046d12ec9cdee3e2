//! Many triggers at once: the stream, the schedule and operators all call reconcile, and one of them works.

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

/// Counts how often somebody looks at all workers, which every run does once.
#[derive(Default)]
struct Looks(AtomicUsize);

impl Faults for Looks {
    fn before(&self, request: &WireRequest) -> Fault {
        let at_workers = request.body["ExpressionAttributeValues"][":pk"]["S"] == "W";
        if request.operation == "Query" && at_workers {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
        Fault::None
    }
}

#[tokio::test]
async fn of_fifty_triggers_one_runs_and_once_more_for_the_others() {
    let world = World::with_policies(json!({})).await;
    for talk in ["talk-0", "talk-1", "talk-2"] {
        world.enqueue(talk).await;
    }
    let looks = Arc::new(Looks::default());
    let function = || {
        let mut boot = world.bundle.boot("reconcile");
        boot.sdk = world.bundle.aws.clone().with_faults(looks.clone()).sdk_config(RetryConfig::disabled());
        App::from_boot(&boot).unwrap()
    };
    let functions: Vec<App> = (0..TRIGGERS).map(|_| function()).collect();
    let answers = join_all(functions.iter().map(|app| Box::pin(reconcile(app)))).await;

    let ran = answers.iter().filter(|a| matches!(a, Ok(Reconciled::Ran(_)))).count();
    let left = answers.iter().filter(|a| matches!(a, Ok(Reconciled::LeftToAnother))).count();
    assert_eq!((ran, left), (1, TRIGGERS - 1));
    assert_eq!(looks.0.load(Ordering::Relaxed), 2, "its own run, and one for all that came meanwhile");
    world.holds().await;
    assert_eq!(world.stand.ever().machines.len(), 3);
    let mut talks: Vec<_> = world.stand.ever().conversations.into_values().flatten().collect();
    talks.sort();
    assert_eq!(talks, ["talk-0", "talk-1", "talk-2"]);
    world.tick().await;
    assert_eq!(world.stand.ever().machines.len(), 3, "nobody is left over");
}
