//! Records that a function refuses, and a pump that cannot continue.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_failing_batch_holds_the_later_ones_until_it_succeeds() {
    let source = ListStream::new();
    let failures = Mutex::new(3);
    let (function, mut called) = recorder(move |_| {
        let mut left = failures.lock().unwrap();
        if *left == 0 {
            return Ok(Value::Null);
        }
        *left -= 1;
        anyhow::bail!("not now")
    });
    let pump = start(&source, vec![(Mapping { batch_size: 1, ..mapping("A") }, function)]);
    source.write("1");
    source.write("2");
    let began = Instant::now();
    pump.settled().await;
    assert_eq!(calls(&mut called), [["1"], ["1"], ["1"], ["1"], ["2"]]);
    assert!(began.elapsed() >= Duration::from_millis(700), "100 + 200 + 400 ms of backoff");
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_dropped_when_its_retries_are_used_up() {
    let source = ListStream::new();
    let (function, mut called) = recorder(|event| {
        anyhow::ensure!(!pks(event).contains(&"poison".to_owned()), "poison");
        Ok(Value::Null)
    });
    let mappings = vec![(Mapping { max_retries: Some(2), batch_size: 2, ..mapping("A") }, function)];
    let pump = start(&source, mappings);
    ["1", "poison", "2"].into_iter().for_each(|pk| source.write(pk));
    pump.settled().await;
    let poisoned = vec!["1", "poison"];
    assert_eq!(calls(&mut called), [poisoned.clone(), poisoned.clone(), poisoned, vec!["2"]]);
}

#[tokio::test(start_paused = true)]
async fn without_a_declared_limit_there_are_ten_retries() {
    let source = ListStream::new();
    let (function, mut called) = recorder(|_| anyhow::bail!("never"));
    let pump = start(&source, vec![(mapping("A"), function)]);
    source.write("1");
    pump.settled().await;
    assert_eq!(calls(&mut called).len(), 11);
}

#[tokio::test(start_paused = true)]
async fn bisecting_loses_only_the_record_that_fails() {
    let source = ListStream::new();
    let (function, mut called) = recorder(|event| {
        anyhow::ensure!(!pks(event).contains(&"poison".to_owned()), "poison");
        Ok(Value::Null)
    });
    let mappings = vec![(Mapping { max_retries: Some(1), bisect: true, ..mapping("A") }, function)];
    let pump = start(&source, mappings);
    ["1", "2", "poison", "3", "4"].into_iter().for_each(|pk| source.write(pk));
    pump.settled().await;
    let calls = calls(&mut called);
    let delivered = calls.iter().filter(|call| !call.contains(&"poison".to_owned())).flatten();
    assert_eq!(
        delivered.collect::<Vec<_>>(),
        ["1", "2", "3", "4"],
        "each record once and in order: {calls:?}"
    );
    assert_eq!(calls.iter().filter(|call| **call == ["poison"]).count(), 2, "one delivery and one retry");
}

#[tokio::test(start_paused = true)]
async fn only_records_that_the_function_reports_as_failed_are_sent_again() {
    let source = ListStream::new();
    let failures = Mutex::new(1);
    let (function, mut called) = recorder(move |event| {
        let mut left = failures.lock().unwrap();
        let third = &event["Records"][2]["dynamodb"]["SequenceNumber"];
        let failed = if *left == 0 { json!([]) } else { json!([{"itemIdentifier": third}]) };
        *left = 0;
        Ok(json!({"batchItemFailures": failed}))
    });
    let pump = start(&source, vec![(Mapping { report_batch_item_failures: true, ..mapping("A") }, function)]);
    ["1", "2", "3", "4"].into_iter().for_each(|pk| source.write(pk));
    pump.settled().await;
    assert_eq!(calls(&mut called), [vec!["1", "2", "3", "4"], vec!["3", "4"]]);
}

#[tokio::test(start_paused = true)]
async fn stopping_does_not_wait_for_retries() {
    let source = ListStream::new();
    let (function, mut called) = recorder(|_| anyhow::bail!("never"));
    let pump = start(&source, vec![(Mapping { max_retries: Some(10_000), ..mapping("A") }, function)]);
    source.write("1");
    called.recv().await.unwrap();
    let began = Instant::now();
    pump.stop().await;
    assert!(began.elapsed() < Duration::from_secs(2));
    assert_eq!(source.left(), 1, "the record stays for the next start");
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_stream_is_tried_again() {
    struct Flaky(Arc<ListStream>, Mutex<u32>);
    impl StreamSource for Flaky {
        fn records(&self, table: &str, after: Option<&str>, limit: usize) -> anyhow::Result<Vec<Value>> {
            let mut failures = self.1.lock().unwrap();
            if *failures > 0 {
                *failures -= 1;
                anyhow::bail!("disk full");
            }
            self.0.records(table, after, limit)
        }
        fn trim(&self, table: &str, through: &str) -> anyhow::Result<()> {
            self.0.trim(table, through)
        }
        fn writes(&self) -> watch::Receiver<u64> {
            self.0.writes()
        }
    }
    let list = ListStream::new();
    list.write("1");
    let (function, mut called) = accepting();
    let source = Arc::new(Flaky(list, Mutex::new(3)));
    let pump = Pump::start(source, None, vec![(mapping("A"), function)]).unwrap();
    pump.settled().await;
    assert_eq!(calls(&mut called), [["1"]]);
}

#[tokio::test]
async fn mappings_that_cannot_work_are_refused() {
    let begin = |mappings| Pump::start(ListStream::new() as _, None, mappings).err().unwrap();
    let twice = begin(vec![(mapping("A"), accepting().0), (mapping("A"), accepting().0)]);
    assert_eq!(twice.to_string(), "two stream mappings are called `A`");
    let empty = begin(vec![(Mapping { batch_size: 0, ..mapping("A") }, accepting().0)]);
    assert_eq!(empty.to_string(), "the stream mapping `A` has a batch size of 0");
}
