//! The counted requests, and the definition of a round.

use af_emulator_aws::{Engine, LocalAws, Meter, Secrets};

use super::{add_one, clock, count, definition, dynamodb, memory, put};

#[tokio::test]
async fn parallel_requests_are_one_round_and_sequential_ones_are_two() {
    let meter = Meter::default();
    let aws = memory().await;
    let client = dynamodb(&aws.with_meter(meter.clone()));
    put(&client, "a", 1).await;
    let wrote = meter.take();
    assert_eq!((wrote.requests, wrote.rounds), (1, 1));
    assert_eq!((wrote.write_units, wrote.index_write_units, wrote.read_units), (2.0, 1.0, 0.0));

    tokio::join!(count(&client, "a"), count(&client, "a"));
    let joined = meter.take();
    assert_eq!((joined.requests, joined.rounds, joined.read_units), (2, 1, 1.0));

    count(&client, "a").await;
    count(&client, "a").await;
    let awaited = meter.take();
    assert_eq!((awaited.requests, awaited.rounds), (2, 2));
    assert_eq!(meter.take(), Default::default());
}

#[tokio::test]
async fn a_chain_parallel_to_a_single_request_counts_its_length() {
    let meter = Meter::default();
    let client = dynamodb(&memory().await.with_meter(meter.clone()));
    let chain = async {
        count(&client, "a").await;
        count(&client, "a").await;
    };
    tokio::join!(chain, count(&client, "b"));
    let used = meter.take();
    assert_eq!((used.requests, used.rounds), (3, 2));
}

#[tokio::test]
async fn rounds_are_the_same_on_several_threads_against_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::open(&dir.path().join("tables.sqlite"), clock().1).unwrap();
    engine.create_tables(&[definition()]).await.unwrap();
    let meter = Meter::default();
    let client = dynamodb(&LocalAws::new(engine, Secrets::memory()).with_meter(meter.clone()));
    tokio::join!(count(&client, "a"), count(&client, "b"));
    count(&client, "a").await;
    assert_eq!(meter.take().rounds, 2);
}

#[tokio::test]
async fn failed_conditions_are_counted_separately() {
    let meter = Meter::default();
    let client = dynamodb(&memory().await.with_meter(meter.clone()));
    let refused = add_one(&client, "a").condition_expression("attribute_exists(pk)").send().await;
    assert!(refused.is_err());
    let used = meter.take();
    assert_eq!((used.requests, used.failed_conditions, used.write_units), (1, 1, 0.0));
    assert_eq!(used.calls[0].status, 400);
}
