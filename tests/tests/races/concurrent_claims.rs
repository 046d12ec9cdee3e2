//! Many free workers at once: a message has one winner, and many messages have many.

use af_app::App;
use af_app::worker::{Poll, Wants, poll};
use af_domain::ids::{ConversationId, WorkerId};
use af_emulator_aws::Meter;
use futures::future::join_all;

use crate::world::{Held, World, conversation};

/// Claimers that come at the same moment.
const CLAIMERS: usize = 64;
/// Polls of each; every one tries several candidates.
const MAX_ROUNDS: usize = 20;
/// What a claim may cost on average when all workers claim at the same moment. A claim alone costs five requests. Of 64
/// random choices among 64 conversations, one in three meets a conversation that another worker has chosen, and costs a
/// load and a failed transaction, and two requests for each further try: 6.4 on average.
const MAX_REQUESTS_A_CLAIM: f64 = 6.5;

struct Crowd {
    world: World,
    /// One function instance for all, so that one meter counts them.
    app: App,
    meter: Meter,
    workers: Vec<WorkerId>,
}

impl Crowd {
    async fn of(claimers: usize, conversations: usize) -> Self {
        let world = World::new().await;
        for n in 0..conversations {
            world.enqueue(&conversation(&format!("talk-{n}")), None).await;
        }
        let mut workers = Vec::new();
        for n in 0..claimers {
            workers.push(world.worker(&format!("w-{n:02}"), None).await);
        }
        let (boot, meter) = world.bundle.metered_boot("worker");
        let app = App::from_boot(&boot).unwrap();
        // Their signs of life of this minute, and the policies, are no part of a claim.
        let busy = Poll { wants: Wants::ControlOnly, ..Poll::default() };
        for worker in &workers {
            poll(&app, worker, &busy).await.unwrap();
        }
        meter.take();
        Self { world, app, meter, workers }
    }

    /// All that have nothing yet poll at once.
    async fn round(&self, won: &mut Vec<(Held, ConversationId)>) {
        let waiting = self.workers.iter().filter(|w| !won.iter().any(|(held, _)| held.worker == **w));
        let polls = waiting.map(|worker| async move {
            let job = poll(&self.app, worker, &Poll::default()).await.unwrap().job?;
            let (message, lease) = (job.lease.entry.message, job.lease.id);
            Some((Held { worker: worker.clone(), message, lease }, job.conversation.id))
        });
        won.extend(join_all(polls).await.into_iter().flatten());
    }
}

#[tokio::test]
async fn of_64_claimers_on_one_conversation_one_wins() {
    let crowd = Crowd::of(CLAIMERS, 1).await;
    let mut won = Vec::new();
    crowd.round(&mut won).await;
    assert_eq!(won.len(), 1);
    crowd.round(&mut won).await;
    assert_eq!(won.len(), 1, "and nobody wins it later");
    let (held, talk) = &won[0];
    let stored = crowd.world.stored(talk).await;
    assert_eq!((stored.fence.0, stored.owner.unwrap().worker), (1, held.worker.clone()));
    assert!(stored.lease.is_some_and(|l| l.id == held.lease && l.entry.attempts == 1));
}

#[tokio::test]
async fn of_64_claimers_on_64_conversations_each_wins_another() {
    let crowd = Crowd::of(CLAIMERS, CLAIMERS).await;
    let (mut won, mut rounds) = (Vec::new(), 0);
    while won.len() < CLAIMERS && rounds < MAX_ROUNDS {
        crowd.round(&mut won).await;
        rounds += 1;
    }
    let mut conversations: Vec<_> = won.iter().map(|(_, conversation)| conversation.clone()).collect();
    conversations.sort();
    conversations.dedup();
    assert_eq!((won.len(), conversations.len()), (CLAIMERS, CLAIMERS));
    for (held, talk) in &won {
        let stored = crowd.world.stored(talk).await;
        assert_eq!(stored.fence.0, 1);
        assert!(stored.holds(&held.lease));
        crowd.world.complete(held).await;
    }
    #[allow(clippy::cast_precision_loss, reason = "a small count")]
    let mean = f64::from(crowd.meter.take().requests) / CLAIMERS as f64;
    report(&format!(
        "{CLAIMERS} claimers, {CLAIMERS} conversations: {mean:.1} requests a claim in {rounds} rounds"
    ));
    assert!(mean <= MAX_REQUESTS_A_CLAIM, "{mean}");
}

#[allow(clippy::print_stderr, reason = "a figure for whoever runs this by hand")]
fn report(line: &str) {
    eprintln!("{line}");
}
