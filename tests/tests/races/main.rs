//! Races: concurrent calls, late answers and stale reads. Each test forces one race in its harmful order. The seeded
//! simulation searches for races that no test here covers.

#![allow(clippy::unwrap_used, reason = "a panic is a failed test")]

mod ambiguous;
mod claims;
mod concurrent_claims;
mod counting;
mod deliveries;
mod direct_writes;
mod drains;
mod ledger;
mod malformed;
mod message_ends;
mod operator;
mod owners;
mod pairing;
mod provider;
mod push;
mod push_broadcasts;
mod reconciling;
mod repairs;
mod replica;
mod retry_order;
mod revisions;
mod skills;
mod transcripts;
mod world;
mod writes;
