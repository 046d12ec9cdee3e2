//! The situations in which a reconcile run is interrupted.

use af_app::settings::policies;
use af_domain::ids::MessageId;
use af_domain::policy::Policies;
use af_domain::time::{MAX_REPLICATION_LAG, Millis};
use serde_json::json;

use crate::fleet::Fleet;
use crate::world::World;

/// The conversations of a scenario.
pub const CONVERSATIONS: [&str; 2] = ["conversation-0", "conversation-1"];
/// After the end of a lease, and before its worker is stale.
const PAST_THE_LEASE: Millis = Millis::from_secs(91);
/// After the grace period in which a machine may be missing.
const PAST_THE_GRACE: Millis = Millis::from_secs(91);

/// A reconcile run with work in which an interruption matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// Two conversations wait, and each gets a worker.
    Starts,
    /// An idle worker starts to drain; its final snapshot is still missing.
    Drains,
    /// An idle worker with a current snapshot drains, stops and is torn down.
    DrainsAndTearsDown,
    /// A worker has ended, and its machine and volume are removed.
    TearsDown,
    /// A lease has expired and is recovered.
    RecoversALease,
    /// A machine vanished while its worker ran a message.
    LosesAMachine,
    /// The pool starts a spare worker although no message waits.
    StartsASpareWorker,
    /// A machine and a volume are orphans.
    RemovesAnOrphan,
    /// A conversation is in the ready index although a worker owns it.
    Repairs,
}

impl Scenario {
    /// Does everything before the run. Returns the messages that must end.
    pub async fn begin(self, world: &World, fleet: &mut Fleet<'_>) -> Vec<MessageId> {
        if self.has_no_messages() {
            return self.begin_without_messages(world, fleet).await;
        }
        let mut messages = vec![world.enqueue(CONVERSATIONS[0]).await];
        match self {
            Self::Starts => messages.push(world.enqueue(CONVERSATIONS[1]).await),
            Self::Drains => {
                world.serve(fleet, &messages).await;
                world.advance(Policies::default().scaling.idle_timeout);
            }
            Self::DrainsAndTearsDown => {
                world.serve(fleet, &messages).await;
                fleet.upload_all().await;
                world.advance(Policies::default().scaling.idle_timeout);
            }
            Self::TearsDown => {
                world.serve(fleet, &messages).await;
                world.advance(Policies::default().scaling.idle_timeout);
                world.tick().await;
                fleet.work().await;
            }
            Self::RecoversALease => {
                claim_without_completing(world, fleet).await;
                world.advance(PAST_THE_LEASE);
            }
            Self::LosesAMachine => {
                claim_without_completing(world, fleet).await;
                world.advance(PAST_THE_GRACE);
                let machine = world.backend.machines().await.remove(0);
                assert!(world.backend.vanish(&machine).await);
            }
            Self::Repairs => {
                world.tick().await;
                world.advance(MAX_REPLICATION_LAG);
                world.list_as_ready(CONVERSATIONS[0]).await;
            }
            Self::StartsASpareWorker | Self::RemovesAnOrphan => {}
        }
        messages
    }

    /// Whether the scenario is about machines only.
    pub const fn has_no_messages(self) -> bool {
        matches!(self, Self::StartsASpareWorker | Self::RemovesAnOrphan)
    }

    async fn begin_without_messages(self, world: &World, fleet: &mut Fleet<'_>) -> Vec<MessageId> {
        if self == Self::StartsASpareWorker {
            set_min_idle_workers(world, Some(1)).await;
        } else {
            fleet.is_silent = true;
            world.create_orphan("w-orphan").await;
            world.tick().await;
            world.advance(PAST_THE_GRACE);
        }
        Vec::new()
    }

    /// Does the remaining work before the pool scales to zero.
    pub async fn end(self, world: &World) {
        if self.has_no_messages() {
            world.run_until_idle().await;
            set_min_idle_workers(world, None).await;
        }
    }
}

async fn set_min_idle_workers(world: &World, count: Option<u64>) {
    let change = serde_json::from_value(json!({"scaling": {"minIdleWorkers": count}})).unwrap();
    policies::set(&world.app, change).await.unwrap();
}

/// A worker claims the message and does not complete it.
async fn claim_without_completing(world: &World, fleet: &mut Fleet<'_>) {
    world.tick().await;
    world.advance(Millis::from_secs(1));
    fleet.is_stalled = true;
    fleet.work().await;
    fleet.is_stalled = false;
}
