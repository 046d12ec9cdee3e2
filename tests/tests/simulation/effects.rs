//! The function effects, which counts messages from the table's stream. Records arrive as on Lambda: each shard in its
//! order, the shards in any order, in batches. A failed batch is sent again, and some delivered batches arrive again.

use std::collections::VecDeque;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use af_app::files::attachments::store_results;
use af_app::outbox::deliver_changed;
use af_app::queue::counters::{StreamRecord, count};
use af_app::telegram::drafts;
use af_domain::ids::MessageId;
use af_sam::stream::filter::Pattern;
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
/// The largest number of records in a batch.
const MAX_RECORDS: usize = 20;
/// Longest wait between two reads of the stream, ms; shorter in the final phase, in which the world waits for effects.
const MAX_PAUSE_MS: u64 = 20_000;
const MAX_FINAL_PAUSE_MS: u64 = 1_000;
/// Delivered batches that may arrive again. The oldest is some minutes old; a request token is valid for ten minutes.
const MAX_REMEMBERED: usize = 6;

/// The expected values of the counters.
#[derive(Default)]
pub struct Ledger {
    /// The sum of all delivered batches.
    pub counted: Counts,
    /// The same sum with the batch in flight.
    pub in_flight: Option<Counts>,
    /// Records that effects has not fetched yet, in their order.
    pub stream: VecDeque<Value>,
    /// Whether fetched records may still be undelivered.
    is_delivering: bool,
}

impl Ledger {
    /// Whether every record of the stream is counted.
    pub fn is_balanced(&self) -> bool {
        !self.is_delivering && self.stream.is_empty()
    }
}

struct Batch {
    records: Vec<StreamRecord>,
    change: Counts,
    /// Its position among all batches.
    number: u64,
}

struct Stream {
    world: Arc<World>,
    rng: StdRng,
    functions: [Instance; 2],
    filters: Vec<Pattern>,
    shards: [VecDeque<Value>; SHARDS],
    delivered: VecDeque<Batch>,
}

pub async fn effects(world: Arc<World>, actor: u64) {
    let functions = [0, 1].map(|n| Instance::new(&world, actor + n, Event::EffectsDied));
    let mut stream = Stream {
        rng: world.rng(actor),
        functions,
        filters: effects_filters(),
        shards: Default::default(),
        delivered: VecDeque::new(),
        world,
    };
    loop {
        let pause = if stream.world.is_in_final_phase() { MAX_FINAL_PAUSE_MS } else { MAX_PAUSE_MS };
        stream.wait(pause).await;
        stream.fetch();
        stream.deliver_all().await;
        stream.world.ledger.lock().unwrap().is_delivering = false;
        if !stream.world.is_in_final_phase() && stream.rng.random_bool(0.2) {
            stream.redeliver().await;
        }
    }
}

impl Stream {
    async fn wait(&mut self, max_ms: u64) {
        tokio::time::sleep(Duration::from_millis(self.rng.random_range(1..max_ms))).await;
    }

    /// Puts each new record that a filter matches into its shard.
    fn fetch(&mut self) {
        let mut ledger = self.world.ledger.lock().unwrap();
        ledger.is_delivering = true;
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
            let records = self.rng.random_range(1..=MAX_RECORDS).min(shard.len());
            let records: Vec<Value> = shard.drain(..records).collect();
            self.deliver(records).await;
        }
    }

    /// Sends a batch until the function accepts it.
    async fn deliver(&mut self, records: Vec<Value>) {
        let mut change = Counts::default();
        for record in &records {
            change += Counts::of(&record["dynamodb"]["NewImage"]);
            change -= Counts::of(&record["dynamodb"]["OldImage"]);
        }
        let number = self.delivered.back().map_or(0, |last| last.number + 1);
        for record in &records {
            self.store_attachment_results(&record["dynamodb"]["NewImage"]).await;
        }
        let records = records.into_iter().map(|r| serde_json::from_value(r).unwrap()).collect();
        let batch = Batch { records, change, number };
        let function = &mut self.functions[self.rng.random_range(0..2)];
        let app = function.app();
        function.call(Operation::Deliver, deliver_changed(&app, &batch.records)).await;
        let app = function.app();
        function.call(Operation::ShowDrafts, drafts::show(&app, &batch.records)).await;
        {
            let mut ledger = self.world.ledger.lock().unwrap();
            let mut in_flight = ledger.counted;
            in_flight += batch.change;
            ledger.in_flight = Some(in_flight);
        }
        while !self.send(&batch.records).await {
            self.wait(MAX_FINAL_PAUSE_MS).await;
        }
        {
            let mut ledger = self.world.ledger.lock().unwrap();
            ledger.counted += batch.change;
            ledger.in_flight = None;
        }
        self.delivered.push_back(batch);
        if self.delivered.len() > MAX_REMEMBERED {
            self.delivered.pop_front();
        }
    }

    /// Stores the results of a message's attachments in most cases. Sometimes the function dies before, or is late.
    async fn store_attachment_results(&mut self, image: &Value) {
        if image["fb"].is_null() || self.rng.random_bool(0.2) {
            return;
        }
        self.wait(MAX_PAUSE_MS).await;
        let id = MessageId::parse(image["pk"]["S"].as_str().unwrap().trim_start_matches("M#")).unwrap();
        let function = &mut self.functions[self.rng.random_range(0..2)];
        let app = function.app();
        let stored = async {
            let message = app.store.message(&id, app.now(), true).await?;
            let Some(message) = message.filter(|m| m.fetched_by.is_some()) else { return Ok(()) };
            let attachments = message.payload.attachments.iter().cloned();
            let failed: Vec<_> = attachments.map(|a| a.failed("it is gone".to_owned())).collect();
            store_results(&app, &message, &failed).await
        };
        match function.call(Operation::StoreAttachmentResults, stored).await {
            Some(Ok(())) => self.world.shared.tally.count(Event::AttachmentResultsStored),
            failed => self.world.note(|| format!("attachment results were not stored: {failed:?}")),
        }
    }

    /// Sends a delivered batch again, perhaps after newer batches.
    async fn redeliver(&mut self) {
        if self.delivered.is_empty() {
            return;
        }
        let index = self.rng.random_range(0..self.delivered.len());
        let batch = self.delivered.remove(index).unwrap();
        let is_latest = index == self.delivered.len();
        let event = if is_latest { Event::StreamBatchAgain } else { Event::StreamBatchOvertaken };
        self.world.shared.tally.count(event);
        self.send(&batch.records).await;
        self.delivered.insert(index, batch);
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
