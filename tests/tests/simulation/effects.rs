//! Effects: what it counts from the table's stream, as Lambda brings it. Each shard in its order and the shards in any,
//! in batches that come until they are taken, and some of them once more.

use std::collections::VecDeque;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use af_app::files::attachments::store_results;
use af_app::queue::counters::{StreamRecord, count};
use af_domain::ids::MessageId;
use af_local::stream::filter::Pattern;
use rand::Rng;
use rand::rngs::StdRng;
use serde_json::Value;

use crate::costs::Operation;
use crate::instance::Instance;
use crate::queue::Counts;
use crate::tally::Event;
use crate::world::{World, effects_filters};

/// Shards of the stream: all records of one partition are in one of them.
const SHARDS: usize = 2;
/// Most records of a batch.
const RECORDS_MAX: usize = 20;
/// Longest wait between two looks at the stream, ms; and in the end, when everybody waits for it.
const PAUSE_MS_MAX: u64 = 20_000;
const PAUSE_AT_REST_MS_MAX: u64 = 1_000;
/// Batches that may come once more; the oldest is some minutes old, and a token is good for ten.
const REMEMBERED_MAX: usize = 6;

/// What the counters must show.
#[derive(Default)]
pub struct Ledger {
    /// What all batches come to that were taken.
    pub counted: Counts,
    /// The same with the batch that is on its way.
    pub coming: Option<Counts>,
    /// Records that nobody has come for yet, in their order.
    pub stream: VecDeque<Value>,
    /// Whether some that count were fetched and not all taken.
    busy: bool,
}

impl Ledger {
    /// Whether everything that counts is counted.
    pub fn is_balanced(&self) -> bool {
        !self.busy && self.stream.is_empty()
    }
}

struct Batch {
    records: Vec<StreamRecord>,
    change: Counts,
    /// Its place among all batches.
    number: u64,
}

struct Stream {
    world: Arc<World>,
    rng: StdRng,
    functions: [Instance; 2],
    filters: Vec<Pattern>,
    shards: [VecDeque<Value>; SHARDS],
    taken: VecDeque<Batch>,
}

pub async fn effects(world: Arc<World>, actor: u64) {
    let functions = [0, 1].map(|n| Instance::new(&world, actor + n, Event::EffectsDied));
    let mut stream = Stream {
        rng: world.rng(actor),
        functions,
        filters: effects_filters(),
        shards: Default::default(),
        taken: VecDeque::new(),
        world,
    };
    loop {
        let pause = if stream.world.resting() { PAUSE_AT_REST_MS_MAX } else { PAUSE_MS_MAX };
        stream.wait(pause).await;
        stream.fetch();
        stream.deliver_all().await;
        stream.world.ledger.lock().unwrap().busy = false;
        if !stream.world.resting() && stream.rng.random_bool(0.2) {
            stream.deliver_again().await;
        }
    }
}

impl Stream {
    async fn wait(&mut self, most_ms: u64) {
        tokio::time::sleep(Duration::from_millis(self.rng.random_range(1..most_ms))).await;
    }

    /// Puts everything that is new and wanted into its shard.
    fn fetch(&mut self) {
        let mut ledger = self.world.ledger.lock().unwrap();
        ledger.busy = true;
        for record in ledger.stream.drain(..) {
            if self.filters.iter().any(|filter| filter.matches(&record)) {
                let mut hash = DefaultHasher::new();
                record["dynamodb"]["Keys"]["pk"]["S"].as_str().hash(&mut hash);
                let shard = usize::try_from(hash.finish() % SHARDS as u64).unwrap_or_default();
                self.shards[shard].push_back(record);
            }
        }
    }

    async fn deliver_all(&mut self) {
        loop {
            let waiting: Vec<usize> = (0..SHARDS).filter(|s| !self.shards[*s].is_empty()).collect();
            if waiting.is_empty() {
                return;
            }
            let shard = &mut self.shards[waiting[self.rng.random_range(0..waiting.len())]];
            let records = self.rng.random_range(1..=RECORDS_MAX).min(shard.len());
            let records: Vec<Value> = shard.drain(..records).collect();
            self.deliver(records).await;
        }
    }

    /// Brings a batch until it is taken.
    async fn deliver(&mut self, records: Vec<Value>) {
        let mut change = Counts::default();
        for record in &records {
            change += Counts::of(&record["dynamodb"]["NewImage"]);
            change -= Counts::of(&record["dynamodb"]["OldImage"]);
        }
        let number = self.taken.back().map_or(0, |last| last.number + 1);
        for record in &records {
            self.settle_attachments(&record["dynamodb"]["NewImage"]).await;
        }
        let records = records.into_iter().map(|r| serde_json::from_value(r).unwrap()).collect();
        let batch = Batch { records, change, number };
        {
            let mut ledger = self.world.ledger.lock().unwrap();
            let mut coming = ledger.counted;
            coming += batch.change;
            ledger.coming = Some(coming);
        }
        while !self.send(&batch.records).await {
            self.wait(PAUSE_AT_REST_MS_MAX).await;
        }
        {
            let mut ledger = self.world.ledger.lock().unwrap();
            ledger.counted += batch.change;
            ledger.coming = None;
        }
        self.taken.push_back(batch);
        if self.taken.len() > REMEMBERED_MAX {
            self.taken.pop_front();
        }
    }

    /// Ends the fetching of a message's attachments, mostly: sometimes the function dies before, or is late.
    async fn settle_attachments(&mut self, image: &Value) {
        if image["fb"].is_null() || self.rng.random_bool(0.2) {
            return;
        }
        self.wait(PAUSE_MS_MAX).await;
        let id = MessageId::parse(image["pk"]["S"].as_str().unwrap().trim_start_matches("M#")).unwrap();
        let function = &mut self.functions[self.rng.random_range(0..2)];
        let app = function.app();
        let settled = async {
            let message = app.store.message(&id, app.now(), true).await?;
            let Some(message) = message.filter(|m| m.fetched_by.is_some()) else { return Ok(()) };
            let attachments = message.payload.attachments.iter().cloned();
            let failed: Vec<_> = attachments.map(|a| a.failed("it is gone".to_owned())).collect();
            store_results(&app, &message, &failed).await
        };
        match function.call(Operation::SettleAttachments, settled).await {
            Some(Ok(())) => self.world.shared.tally.count(Event::AttachmentsSettled),
            failed => self.world.note(|| format!("attachments were not settled: {failed:?}")),
        }
    }

    /// Brings a batch that was taken before, and perhaps others since.
    async fn deliver_again(&mut self) {
        if self.taken.is_empty() {
            return;
        }
        let place = self.rng.random_range(0..self.taken.len());
        let batch = self.taken.remove(place).unwrap();
        let is_latest = place == self.taken.len();
        let event = if is_latest { Event::StreamBatchAgain } else { Event::StreamBatchOvertaken };
        self.world.shared.tally.count(event);
        self.send(&batch.records).await;
        self.taken.insert(place, batch);
    }

    async fn send(&mut self, records: &[StreamRecord]) -> bool {
        let function = &mut self.functions[self.rng.random_range(0..2)];
        let app = function.app();
        match function.call(Operation::Count, count(&app, records)).await {
            Some(Ok(())) => true,
            failed => {
                self.world.note(|| format!("counting failed: {failed:?}"));
                false
            }
        }
    }
}
