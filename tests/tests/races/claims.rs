//! Who gets a message, and who must not.

use af_app::worker::{Poll, Wants, poll};

use crate::replica::Replica;
use crate::world::{World, conversation};

#[tokio::test]
async fn a_former_owner_with_an_old_view_is_not_handed_its_successors_message() {
    let world = World::new().await;
    let (replica, talk) = (Replica::new(), conversation("talk"));
    let behind = world.troubled(replica.clone());
    world.enqueue(&talk, None).await;
    let former = world.worker("former", Some(&talk)).await;
    // The first poll is written down as a sign of life; the second reads, and sees its message waiting.
    let busy = Poll { conversation: Some(talk.clone()), wants: Wants::ControlOnly, ..Poll::default() };
    for _ in 0..2 {
        poll(&behind, &former, &busy).await.unwrap();
    }
    replica.fall_behind();
    world.dismiss(&former, Some(&talk)).await;
    let successor = world.worker("successor", None).await;
    world.claim(&successor, None).await;

    let polled = world.poll(&behind, &former, Some(&talk)).await;
    assert!(polled.job.is_none(), "{:?}", polled.job);
    let lease = world.stored(&talk).await.lease.unwrap();
    assert_eq!((lease.worker, lease.redeliveries), (successor, 0));
}
