//! Concurrent claims of many free workers: exactly one worker claims each message.

use af_app::App;
use af_app::worker::{Poll, Wants, poll};
use af_domain::ids::{ConversationId, WorkerId};
use af_emulator_aws::Meter;
use futures::future::join_all;

use crate::world::{RunningMessage, World, conversation_id};

/// Workers that claim at the same time.
const CLAIMERS: usize = 64;
/// Limit of the polls of each worker. Every poll tries several candidates.
const MAX_ROUNDS: usize = 20;
/// Limit of the average requests of a claim when all workers claim at the same time. A claim without competition takes
/// five requests. Of 64 random choices among 64 conversations, one in three hits a conversation that another worker has
/// chosen. It costs a read and a failed transaction, and two requests for each further try: 6.5 on average, with a standard
/// deviation of 0.13 between runs.
const MAX_REQUESTS_PER_CLAIM: f64 = 7.0;

struct Claimers {
    world: World,
    /// One function instance for all workers, so that one meter counts all requests.
    app: App,
    meter: Meter,
    workers: Vec<WorkerId>,
}

impl Claimers {
    async fn of(claimers: usize, conversations: usize) -> Self {
        let world = World::new().await;
        let (boot, meter) = world.bundle.metered_boot("worker");
        let app = App::from_boot(&boot).unwrap();
        // The first claim of an instance reads the agent's profile.
        let first = world.worker("first", None).await;
        world.enqueue(&conversation_id("first"), None).await;
        assert!(poll(&app, &first, &Poll::default()).await.unwrap().job.is_some());
        for n in 0..conversations {
            world.enqueue(&conversation_id(&format!("talk-{n}")), None).await;
        }
        let mut workers = Vec::new();
        for n in 0..claimers {
            workers.push(world.worker(&format!("w-{n:02}"), None).await);
        }
        // The signs of life of this minute and the policies do not belong to a claim.
        let busy = Poll { wants: Wants::ControlOnly, ..Poll::default() };
        for worker in &workers {
            poll(&app, worker, &busy).await.unwrap();
        }
        meter.take();
        Self { world, app, meter, workers }
    }

    /// All workers without a message poll at once.
    async fn poll_at_once(&self, claims: &mut Vec<(RunningMessage, ConversationId)>) {
        let waiting =
            self.workers.iter().filter(|w| !claims.iter().any(|(running, _)| running.worker == **w));
        let polls = waiting.map(|worker| async move {
            let job = poll(&self.app, worker, &Poll::default()).await.unwrap().job?;
            let (message, lease) = (job.lease.entry.message, job.lease.id);
            Some((RunningMessage { worker: worker.clone(), message, lease }, job.conversation.id))
        });
        claims.extend(join_all(polls).await.into_iter().flatten());
    }
}

#[tokio::test]
async fn of_64_workers_exactly_one_claims_the_message() {
    let claimers = Claimers::of(CLAIMERS, 1).await;
    let mut claims = Vec::new();
    claimers.poll_at_once(&mut claims).await;
    assert_eq!(claims.len(), 1);
    claimers.poll_at_once(&mut claims).await;
    assert_eq!(claims.len(), 1, "no worker claims it later");
    let (running, conversation) = &claims[0];
    let stored = claimers.world.stored(conversation).await;
    assert_eq!((stored.fence.0, stored.owner.unwrap().worker), (1, running.worker.clone()));
    assert!(stored.lease.is_some_and(|l| l.id == running.lease && l.entry.attempts == 1));
}

#[tokio::test]
async fn each_of_64_workers_claims_another_of_64_conversations() {
    let claimers = Claimers::of(CLAIMERS, CLAIMERS).await;
    let (mut claims, mut rounds) = (Vec::new(), 0);
    while claims.len() < CLAIMERS && rounds < MAX_ROUNDS {
        claimers.poll_at_once(&mut claims).await;
        rounds += 1;
    }
    let mut conversations: Vec<_> = claims.iter().map(|(_, conversation)| conversation.clone()).collect();
    conversations.sort();
    conversations.dedup();
    assert_eq!((claims.len(), conversations.len()), (CLAIMERS, CLAIMERS));
    for (running, conversation) in &claims {
        let stored = claimers.world.stored(conversation).await;
        assert_eq!(stored.fence.0, 1);
        assert!(stored.holds(&running.lease));
        claimers.world.complete(running).await;
    }
    #[allow(clippy::cast_precision_loss, reason = "a small count")]
    let mean = f64::from(claimers.meter.take().requests) / CLAIMERS as f64;
    report(&format!(
        "{CLAIMERS} claimers, {CLAIMERS} conversations: {mean:.1} requests per claim in {rounds} rounds"
    ));
    assert!(mean <= MAX_REQUESTS_PER_CLAIM, "{mean}");
}

#[allow(clippy::print_stderr, reason = "a figure for a person who runs this by hand")]
fn report(line: &str) {
    eprintln!("{line}");
}
