//! A ready index with several shards: the costs of a poll and of a claim. A claim finds a message in any shard.

use af_app::settings::policies;
use serde_json::json;

use crate::figures::{Figures, at_most};
use crate::on_a_large_stack;
use crate::serving::living_worker;
use crate::world::{RunningMessage, World};

const SHARDS: u64 = 4;

async fn with_four_shards() -> World {
    let world = World::new().await;
    let overrides = json!({"queue": {"readyShards": SHARDS}});
    policies::set(&world.app, serde_json::from_value(overrides).unwrap()).await.unwrap();
    world
}

#[test]
fn an_idle_poll_reads_every_shard_in_one_round() {
    on_a_large_stack(async || {
        let world = with_four_shards().await;
        let worker = living_worker(&world).await;
        let (polled, cost) = world.measure(world.poll_free(&worker, false)).await;
        assert!(polled.job.is_none());
        let expected = Figures { requests: 5, rounds: 1, read_units: 2.5, ..Figures::default() };
        assert_eq!(cost, expected, "1 + shards requests, 0.5 + 0.5 x shards read units");
    });
}

#[test]
fn a_claim_finds_a_message_in_any_shard_in_three_rounds() {
    on_a_large_stack(async || {
        let world = with_four_shards().await;
        for shard in 0..SHARDS {
            let (worker, conversation) =
                (living_worker(&world).await, world.new_conversation_in(shard, SHARDS));
            world.enqueue(world.message(&conversation)).await;
            let (polled, cost) = world.measure(world.poll_free(&worker, false)).await;
            assert_eq!(RunningMessage::of(&worker, &polled).conversation, conversation);
            let row = crate::figures::Row::new("claim", cost, at_most(9, 3).writes(5).reads(5.0));
            assert_eq!(row.excesses(), [""; 0], "in shard {shard}");
        }
    });
}
