//! Seeded simulation: the real use cases on the embedded engine, in virtual time, under faults of the network, the
//! table and the machines. A judge checks the invariants from the stream of the table.
//!
//! The tests run the worlds of a corpus of seeds. `SIMULATION_SEEDS=20000` runs that many seeds instead, from
//! `SIMULATION_FROM` on. `SIMULATION_SEED=17` replays one seed and prints its trace.

#![allow(clippy::unwrap_used, reason = "a panic is a failed test")]

mod answers;
mod binding_mutations;
mod bindings;
mod clock;
mod corpus;
mod costs;
mod effects;
mod faults;
mod instance;
mod judge;
mod mutations;
mod operators;
mod outbox_mutations;
mod people;
mod people_mutations;
mod pool;
mod push;
mod push_mutations;
mod queue;
mod queue_operations;
mod reconciler;
mod search;
mod slots;
mod tally;
mod telegram;
mod users;
mod workers;
mod world;

use std::sync::OnceLock;

use corpus::{CORPUS, MIN_PERCENT_OF_PAIRS, PAIRS};
use costs::Operation;
use mutations::Mutation;
use search::{SearchResult, number, replay, report, search};
use tally::Event;

/// Limit of the seeds that may run until the judge notices a mutation.
const MAX_MUTATION_SEEDS: u64 = 200;
/// The highest seed that need not be known, because the search finds it within seconds.
const MAX_UNLISTED_SEED: u64 = 3;

/// The result of the requested seeds, which run once for all tests.
fn seeds() -> &'static SearchResult {
    static RESULT: OnceLock<SearchResult> = OnceLock::new();
    RESULT.get_or_init(|| {
        let from = number("SIMULATION_FROM").unwrap_or(0);
        let seeds = match (number("SIMULATION_SEED"), number("SIMULATION_SEEDS")) {
            (Some(seed), _) => vec![seed],
            (None, Some(seeds)) => (from..from + seeds).collect(),
            (None, None) => CORPUS.to_vec(),
        };
        search(&seeds, Mutation::None)
    })
}

#[test]
fn no_fault_breaks_an_invariant() {
    let found = seeds();
    for event in Event::ALL {
        report(&format!("{:>8} {event:?}", found.tally.of(event)));
    }
    for (operation, requests) in &found.peak_requests {
        report(&format!("{requests:>8} requests for {operation:?} at most"));
    }
    let replayed = number("SIMULATION_SEED").or(found.failed.as_ref().map(|failed| failed.seed));
    let Some(seed) = replayed else { return };
    replay(seed);
    if let Some(failed) = &found.failed {
        panic!("seed {seed}: {} (SIMULATION_SEED={seed} replays it)", failed.violation.as_ref().unwrap());
    }
}

#[test]
fn every_event_and_every_operation_happens_in_some_world() {
    let is_partial = ["SIMULATION_SEED", "SIMULATION_SEEDS"].iter().any(|v| number(v).is_some());
    let tally = &seeds().tally;
    let never: Vec<_> = Event::ALL.into_iter().filter(|e| tally.of(*e) == 0).collect();
    assert!(never.is_empty() || is_partial, "events that never happened in the corpus: {never:?}");
    let peak_requests = &seeds().peak_requests;
    let unmeasured: Vec<_> = Operation::ALL.into_iter().filter(|o| !peak_requests.contains_key(o)).collect();
    assert!(
        unmeasured.is_empty() || is_partial,
        "operations that were not measured in the corpus: {unmeasured:?}"
    );
    let pairs = tally.pairs().len();
    let enough = pairs * 100 >= PAIRS * MIN_PERCENT_OF_PAIRS;
    assert!(
        enough || is_partial,
        "{pairs} pairs of fault and operation happened; {PAIRS} happened when the corpus was chosen"
    );
}

/// Chooses the corpus again when `SIMULATION_CORPUS` is set.
#[test]
fn the_corpus_is_chosen_on_request() {
    let Some(seeds) = number("SIMULATION_CORPUS") else { return };
    let found = search(&(0..seeds).collect::<Vec<_>>(), Mutation::None);
    let chosen = corpus::choose(&found);
    report(&format!("CORPUS: [u64; {}] = {chosen:?}", chosen.len()));
    report(&format!("PAIRS: {}", found.tally.pairs().len()));
}

#[test]
fn the_same_seed_gives_the_same_history() {
    for seed in [3, 7, 11] {
        let run = || world::run(seed, Mutation::None, false);
        let (first, second) = (run(), run());
        assert_eq!(first.tally.counts(), second.tally.counts());
        assert_eq!(first.history, second.history);
    }
}

#[test]
fn completing_without_the_fence_check_is_noticed() {
    notices(Mutation::CompleteWithoutLease);
}

#[test]
fn not_counting_an_attempt_on_expiry_is_noticed() {
    notices(Mutation::ExpiryCountsNothing);
}

#[test]
fn dropping_the_dedupe_condition_is_noticed() {
    notices(Mutation::NoDedupe);
}

#[test]
fn a_ready_index_without_repair_is_noticed() {
    notices(Mutation::ReadyKeyKept);
}

#[test]
fn extending_a_lease_that_was_taken_over_is_noticed() {
    notices(Mutation::HeartbeatExtendsAnyLease);
}

#[test]
fn a_heartbeat_that_extends_nothing_is_noticed() {
    notices(Mutation::HeartbeatExtendsNothing);
}

#[test]
fn appending_under_a_lease_that_was_taken_over_is_noticed() {
    notices(Mutation::AppendUnderAnyLease);
}

#[test]
fn enqueueing_at_the_front_of_the_queue_is_noticed() {
    notices(Mutation::EnqueueInFront);
}

#[test]
fn a_dead_letter_without_its_mark_is_noticed() {
    notices(Mutation::NoDeadLetterMark);
}

#[test]
fn requeueing_over_a_concurrent_change_is_noticed() {
    notices(Mutation::RequeueOnAnyVersion);
}

#[test]
fn a_claim_that_is_not_in_the_workers_row_is_noticed() {
    notices(Mutation::ClaimLeavesRowAlone);
}

#[test]
fn completing_a_cancelled_message_is_noticed() {
    notices(Mutation::CompleteThoughCancelled);
}

#[test]
fn a_retry_that_leaves_the_mark_of_the_dead_letter_is_noticed() {
    notices(Mutation::RetryKeepsMark);
}

#[test]
fn a_retry_that_forgets_the_first_claim_is_noticed() {
    notices(Mutation::RetryForgetsFirstClaim);
}

#[test]
fn freeing_a_conversation_that_stays_in_its_workers_row_is_noticed() {
    notices(Mutation::FreeLeavesRowAlone);
}

#[test]
fn counting_a_redelivered_batch_again_is_noticed() {
    notices(Mutation::CountEachTime);
}

#[test]
fn a_revoked_binding_that_still_names_its_chat_is_noticed() {
    notices(Mutation::RevokeKeepsUsersBinding);
}

#[test]
fn a_rebind_that_keeps_the_old_agent_is_noticed() {
    notices(Mutation::RebindKeepsAgent);
}

#[test]
fn a_binding_over_a_concurrent_binding_is_noticed() {
    notices(Mutation::BindOnAnyVersion);
}

#[test]
fn a_run_of_a_disabled_agent_is_noticed() {
    notices(Mutation::AgentStateIgnored);
}

#[test]
fn an_answer_of_an_agent_that_the_user_has_left_is_noticed() {
    notices(Mutation::BindingIgnored);
}

#[test]
fn a_run_beyond_its_limit_is_noticed() {
    notices(Mutation::RunLimitIgnored);
}

#[test]
fn a_part_that_is_sent_without_a_note_is_noticed() {
    notices(Mutation::SendingNotNoted);
}

#[test]
fn a_part_that_is_forgotten_is_noticed() {
    notices(Mutation::PartForgotten);
}

#[test]
fn a_part_of_a_dead_sender_that_is_sent_again_is_noticed() {
    notices(Mutation::InterruptedPartSentAgain);
}

#[test]
fn a_reply_in_the_chat_of_another_user_is_noticed() {
    notices(Mutation::ReplyWithoutUser);
}

#[test]
fn a_delivery_whose_end_is_forgotten_is_noticed() {
    notices(Mutation::EndOfDeliveryForgotten);
}

#[test]
fn an_edit_that_is_forgotten_is_noticed() {
    notices(Mutation::EditForgotten);
}

#[test]
fn a_file_of_an_album_that_is_forgotten_is_noticed() {
    notices(Mutation::FileOfAlbumForgotten);
}

#[test]
fn a_stop_that_leaves_waiting_messages_is_noticed() {
    notices(Mutation::StopForgetsQueue);
}

#[test]
fn a_missed_slot_without_a_record_is_noticed() {
    notices(Mutation::MissedSlotForgotten);
}

#[test]
fn a_slot_that_two_dispatchers_dispatch_is_noticed() {
    notices(Mutation::SlotDispatchedOnAnyVersion);
}

#[test]
fn a_push_job_that_stands_still_is_noticed() {
    notices(Mutation::JobStandsStill);
}

#[test]
fn a_target_that_a_broadcast_forgets_is_noticed() {
    notices(Mutation::TargetForgotten);
}

#[test]
fn a_cancelled_broadcast_that_goes_on_is_noticed() {
    notices(Mutation::CancellationForgotten);
}

/// Tries the seed that is known to show the bug, then all others. A search of many worlds takes minutes, so the test then
/// asks for the seed that it has found.
fn notices(mutation: Mutation) {
    let known = mutation.known_seed();
    let others = (0..MAX_MUTATION_SEEDS).filter(|seed| *seed != known).collect::<Vec<_>>();
    let failed = search(&[known], mutation).failed.or_else(|| search(&others, mutation).failed);
    let failed = failed
        .unwrap_or_else(|| panic!("the judge did not notice {mutation:?} in {MAX_MUTATION_SEEDS} seeds"));
    let seed = failed.seed;
    report(&format!("{mutation:?} noticed at seed {seed}: {}", failed.violation.unwrap()));
    assert!(
        seed == known || seed <= MAX_UNLISTED_SEED,
        "{mutation:?} is noticed at seed {seed} and no longer at {known}: change `known_seed`"
    );
}
