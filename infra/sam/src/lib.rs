//! Reads `infra/template.yaml` and runs what it declares: routes, table streams and schedules.
//!
//! | module | content |
//! |---|---|
//! | [`template`] | the template as a value, with parameters and intrinsic functions resolved |
//! | [`gateway`] | API Gateway's HTTP API: exactly the routes of the template |
//! | [`cors`] | which pages of other origins a browser lets call the HTTP API |
//! | [`stream`] | event source mappings: filter, batch, retry and split the records of a table stream |
//! | [`schedule`] | EventBridge schedules by the virtual clock |
//! | [`invoke`] | one invocation of a function, with its timeout |
//!
//! The crate depends neither on the functions nor on the emulators: a function is a router or a closure, and a table
//! stream is a [`stream::StreamSource`].

pub mod cors;
pub mod gateway;
pub mod invoke;
pub mod schedule;
pub mod stream;
mod tasks;
pub mod template;
