//! Delivery by the mappings, with a list as the stream. The time of Tokio is paused: it advances by itself when all
//! tasks wait.

use std::sync::Mutex;
use std::time::Duration;

use af_domain::time::Millis;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::super::filter::Pattern;
use super::super::sequence_number;
use super::*;

mod failures;

const TABLE: &str = "table-1";

struct ListStream {
    records: Mutex<Vec<Value>>,
    trims: Mutex<Vec<String>>,
    writes: watch::Sender<u64>,
}

impl ListStream {
    fn new() -> Arc<Self> {
        Arc::new(Self { records: Mutex::default(), trims: Mutex::default(), writes: watch::channel(0).0 })
    }

    fn write(&self, pk: &str) {
        self.writes.send_modify(|writes| {
            *writes += 1;
            let record =
                json!({"dynamodb": {"Keys": {"pk": {"S": pk}}, "SequenceNumber": sequence(*writes)}});
            self.records.lock().unwrap().push(record);
        });
    }

    fn left(&self) -> usize {
        self.records.lock().unwrap().len()
    }
}

impl StreamSource for ListStream {
    fn records(&self, table: &str, after: Option<&str>, limit: usize) -> anyhow::Result<Vec<Value>> {
        assert_eq!(table, TABLE);
        let records = self.records.lock().unwrap();
        Ok(records.iter().filter(|record| sequence_number(record) > after).take(limit).cloned().collect())
    }

    fn trim(&self, _: &str, through: &str) -> anyhow::Result<()> {
        self.trims.lock().unwrap().push(through.to_owned());
        self.records.lock().unwrap().retain(|record| sequence_number(record) > Some(through));
        Ok(())
    }

    fn writes(&self) -> watch::Receiver<u64> {
        self.writes.subscribe()
    }
}

fn sequence(number: u64) -> String {
    format!("{number:021}")
}

/// The `pk` of every record of an event.
fn pks(event: &Value) -> Vec<String> {
    let records = event["Records"].as_array().unwrap();
    records.iter().map(|record| record["dynamodb"]["Keys"]["pk"]["S"].as_str().unwrap().to_owned()).collect()
}

/// A function that records each batch and returns the result of `answer`.
fn recorder(
    answer: impl Fn(&Value) -> anyhow::Result<Value> + Send + Sync + 'static,
) -> (EventFunction, mpsc::UnboundedReceiver<Vec<String>>) {
    let (calls, called) = mpsc::unbounded_channel();
    let function = EventFunction::new("Recorder", Millis::from_secs(3), move |event: Value| {
        calls.send(pks(&event)).unwrap();
        let answer = answer(&event);
        async move { answer }
    });
    (function, called)
}

fn accepting() -> (EventFunction, mpsc::UnboundedReceiver<Vec<String>>) {
    recorder(|_| Ok(Value::Null))
}

fn mapping(id: &str) -> Mapping {
    Mapping {
        id: id.to_owned(),
        table: TABLE.to_owned(),
        filters: Vec::new(),
        batch_size: 10,
        window: Millis::default(),
        max_retries: None,
        bisect: false,
        report_batch_item_failures: false,
    }
}

fn start(source: &Arc<ListStream>, mappings: Vec<(Mapping, EventFunction)>) -> Pump {
    Pump::start(Arc::clone(source) as _, None, mappings).unwrap()
}

fn calls(called: &mut mpsc::UnboundedReceiver<Vec<String>>) -> Vec<Vec<String>> {
    std::iter::from_fn(|| called.try_recv().ok()).collect()
}

#[tokio::test(start_paused = true)]
async fn matching_records_arrive_in_order_in_batches_of_the_declared_size() {
    let source = ListStream::new();
    let (function, mut called) = accepting();
    let filters =
        vec![Pattern::compile(&json!({"dynamodb": {"Keys": {"pk": {"S": [{"prefix": "C#"}]}}}})).unwrap()];
    let pump = start(&source, vec![(Mapping { filters, batch_size: 2, ..mapping("A") }, function)]);
    ["C#1", "M#1", "C#2", "C#3", "M#2"].into_iter().for_each(|pk| source.write(pk));
    pump.settled().await;
    assert_eq!(calls(&mut called), [vec!["C#1", "C#2"], vec!["C#3"]]);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_written_later_is_delivered() {
    let source = ListStream::new();
    let (function, mut called) = accepting();
    let _pump = start(&source, vec![(mapping("A"), function)]);
    source.write("1");
    assert_eq!(called.recv().await.unwrap(), ["1"]);
    source.write("2");
    source.write("3");
    assert_eq!(called.recv().await.unwrap(), ["2", "3"]);
}

#[tokio::test(start_paused = true)]
async fn an_incomplete_batch_waits_for_its_window() {
    let source = ListStream::new();
    let (function, mut called) = accepting();
    let window = Millis::new(1_000);
    let _pump = start(&source, vec![(Mapping { window, batch_size: 3, ..mapping("A") }, function)]);
    let began = Instant::now();
    source.write("1");
    tokio::time::advance(Duration::from_millis(600)).await;
    source.write("2");
    assert_eq!(called.recv().await.unwrap(), ["1", "2"]);
    assert!(began.elapsed() >= Duration::from_millis(1_000), "{:?}", began.elapsed());
    let again = Instant::now();
    ["3", "4", "5"].into_iter().for_each(|pk| source.write(pk));
    assert_eq!(called.recv().await.unwrap(), ["3", "4", "5"]);
    assert!(again.elapsed() < Duration::from_millis(1_000), "a full batch does not wait");
}

#[tokio::test(start_paused = true)]
async fn settled_does_not_wait_for_an_open_window() {
    let source = ListStream::new();
    let (function, mut called) = accepting();
    let pump = start(&source, vec![(Mapping { window: Millis::from_secs(300), ..mapping("A") }, function)]);
    source.write("1");
    let began = Instant::now();
    pump.settled().await;
    assert_eq!(calls(&mut called), [["1"]]);
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn settled_does_not_wait_for_records_that_are_written_meanwhile() {
    let source = ListStream::new();
    let echo = Arc::clone(&source);
    let (function, mut called) = recorder(move |_| {
        echo.write("again");
        Ok(Value::Null)
    });
    let pump = start(&source, vec![(mapping("A"), function)]);
    source.write("1");
    pump.settled().await;
    assert_eq!(calls(&mut called)[0], ["1"]);
}

#[tokio::test(start_paused = true)]
async fn a_restarted_pump_continues_behind_the_last_delivered_batch() {
    let dir = tempfile::tempdir().unwrap();
    let source = ListStream::new();
    let begin = |function| {
        let checkpoints = CheckpointDir::open(dir.path()).unwrap();
        Pump::start(Arc::clone(&source) as _, Some(checkpoints), vec![(mapping("A"), function)]).unwrap()
    };
    let (function, mut called) = recorder(|event| {
        anyhow::ensure!(pks(event) == ["1"], "the second record is refused");
        Ok(Value::Null)
    });
    let first = begin(function);
    source.write("1");
    first.settled().await;
    source.write("2");
    assert_eq!(called.recv().await.unwrap(), ["1"]);
    assert_eq!(called.recv().await.unwrap(), ["2"]);
    drop(first);

    let (function, mut called) = accepting();
    let second = begin(function);
    source.write("3");
    second.settled().await;
    assert_eq!(calls(&mut called).concat(), ["2", "3"]);
}

#[tokio::test(start_paused = true)]
async fn records_are_trimmed_only_when_every_mapping_has_passed_them() {
    let source = ListStream::new();
    let (quick, _quick_called) = accepting();
    let (gate, opened) = watch::channel(false);
    let slow = EventFunction::new("Slow", Millis::from_secs(60), move |_| {
        let mut opened = opened.clone();
        async move {
            opened.wait_for(|open| *open).await?;
            anyhow::Ok(Value::Null)
        }
    });
    let pump =
        start(&source, vec![(mapping("A"), quick), (Mapping { batch_size: 1_000, ..mapping("B") }, slow)]);
    (0..600).for_each(|n| source.write(&n.to_string()));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(source.left(), 600, "B has passed nothing");
    gate.send_replace(true);
    pump.settled().await;
    assert!(source.left() < 600, "a long stream is trimmed while it runs");
    pump.stop().await;
    assert_eq!(source.left(), 0);
    let trims = source.trims.lock().unwrap();
    assert!(trims.is_sorted(), "{trims:?}");
    assert_eq!(trims.last(), Some(&sequence(600)));
}

#[tokio::test(start_paused = true)]
async fn records_that_no_filter_matches_are_trimmed_too() {
    let source = ListStream::new();
    let (function, mut called) = accepting();
    let filters = vec![Pattern::compile(&json!({"eventName": ["REMOVE"]})).unwrap()];
    let pump = start(&source, vec![(Mapping { filters, ..mapping("A") }, function)]);
    (0..1_234).for_each(|n| source.write(&n.to_string()));
    pump.settled().await;
    pump.stop().await;
    assert_eq!(source.left(), 0);
    assert!(calls(&mut called).is_empty());
}
