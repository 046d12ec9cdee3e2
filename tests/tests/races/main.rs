//! Two that come at the same moment, answers that come late, and reads that are out of date: each race by hand, in
//! the order that hurts. The seeded simulation looks for those that nobody has thought of.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

mod claims;
mod crowds;
mod ends;
mod owners;
mod provider;
mod reconciling;
mod replica;
mod skills;
mod world;
