//! Two that come at the same moment, answers that come late, and reads that are out of date: each race by hand, in
//! the order that hurts. The seeded simulation looks for those that nobody has thought of.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

mod ambiguous;
mod claims;
mod counting;
mod crowds;
mod drains;
mod ends;
mod malformed;
mod meddling;
mod operator;
mod order;
mod owners;
mod provider;
mod reconciling;
mod repairs;
mod replica;
mod skills;
mod transcripts;
mod world;
mod writes;
