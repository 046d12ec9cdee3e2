//! What comes before a run in which something happens to the function.

use af_app::settings::policies;
use af_domain::ids::MessageId;
use af_domain::policy::Policies;
use af_domain::time::{MAX_REPLICATION_LAG, Millis};
use serde_json::json;

use crate::crew::Crew;
use crate::world::World;

/// The conversations of a story.
pub const TALKS: [&str; 2] = ["talk-0", "talk-1"];
/// Past the end of a lease, and before its worker is stale.
const PAST_THE_LEASE: Millis = Millis::from_secs(91);
/// Past the grace in which a machine may be missing.
const PAST_THE_GRACE: Millis = Millis::from_secs(91);

/// A run that does something worth dying in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Story {
    /// Two conversations wait, and each gets a worker.
    Starts,
    /// An idle worker is told to leave; it owes a snapshot.
    Drains,
    /// An idle worker that owes nothing is told to leave, settled and taken down.
    DrainsSettlesAndTearsDown,
    /// A worker has left, and its machine and volume go.
    TearsDown,
    /// A lease has expired and is recovered.
    RecoversALease,
    /// A machine vanished in the middle of its work.
    LosesAMachine,
    /// The pool shall have a worker although nobody talks.
    StartsASpareWorker,
    /// A machine and a volume belong to nobody.
    RemovesAnOrphan,
    /// A conversation stands in the ready index although a worker owns it.
    Repairs,
}

impl Story {
    /// Everything up to the run. Answers the messages that must end.
    pub async fn begin(self, world: &World, crew: &mut Crew<'_>) -> Vec<MessageId> {
        if self.is_without_talk() {
            return self.begin_without_talk(world, crew).await;
        }
        let mut messages = vec![world.enqueue(TALKS[0]).await];
        match self {
            Self::Starts => messages.push(world.enqueue(TALKS[1]).await),
            Self::Drains => {
                world.serve(crew, &messages).await;
                world.pass(Policies::default().scaling.idle_timeout);
            }
            Self::DrainsSettlesAndTearsDown => {
                world.serve(crew, &messages).await;
                crew.keep_all().await;
                world.pass(Policies::default().scaling.idle_timeout);
            }
            Self::TearsDown => {
                world.serve(crew, &messages).await;
                world.pass(Policies::default().scaling.idle_timeout);
                world.tick().await;
                crew.work().await;
            }
            Self::RecoversALease => {
                claimed(world, crew).await;
                world.pass(PAST_THE_LEASE);
            }
            Self::LosesAMachine => {
                claimed(world, crew).await;
                world.pass(PAST_THE_GRACE);
                let machine = world.stand.machines().await.remove(0);
                assert!(world.stand.vanish(&machine).await);
            }
            Self::Repairs => {
                world.tick().await;
                world.pass(MAX_REPLICATION_LAG);
                world.list(TALKS[0]).await;
            }
            Self::StartsASpareWorker | Self::RemovesAnOrphan => {}
        }
        messages
    }

    /// Whether it is about machines alone.
    pub const fn is_without_talk(self) -> bool {
        matches!(self, Self::StartsASpareWorker | Self::RemovesAnOrphan)
    }

    async fn begin_without_talk(self, world: &World, crew: &mut Crew<'_>) -> Vec<MessageId> {
        if self == Self::StartsASpareWorker {
            wants_spare_workers(world, Some(1)).await;
        } else {
            crew.silent = true;
            world.stray("w-stray").await;
            world.tick().await;
            world.pass(PAST_THE_GRACE);
        }
        Vec::new()
    }

    /// What is left to do before everybody may go.
    pub async fn end(self, world: &World) {
        if self.is_without_talk() {
            world.come_to_rest().await;
            wants_spare_workers(world, None).await;
        }
    }
}

async fn wants_spare_workers(world: &World, count: Option<u64>) {
    let change = serde_json::from_value(json!({"scaling": {"minIdleWorkers": count}})).unwrap();
    policies::set(&world.app, change).await.unwrap();
}

/// A worker has claimed the message and does not end it.
async fn claimed(world: &World, crew: &mut Crew<'_>) {
    world.tick().await;
    world.pass(Millis::from_secs(1));
    crew.idles = true;
    crew.work().await;
    crew.idles = false;
}
