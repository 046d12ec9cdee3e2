//! Reads `infra/template.yaml` and runs what it declares: routes, table streams and schedules.
//!
//! | module | what it does |
//! |---|---|
//! | [`template`] | the template as a value, with parameters and intrinsic functions resolved |
//! | [`gateway`] | API Gateway's HTTP API: the routes of the template and nothing else |
//! | [`stream`] | event source mappings: filter, batch, retry and split the records of a table stream |
//! | [`schedule`] | EventBridge schedules by the virtual clock |
//! | [`invoke`] | one invocation of a function, with its timeout |
//!
//! It knows neither the functions nor the emulators: a function is a router or a closure, and a table stream is a
//! [`stream::StreamSource`].

pub mod gateway;
pub mod invoke;
pub mod schedule;
pub mod stream;
pub mod template;
