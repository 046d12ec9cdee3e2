//! The wire types of the HTTP API: what a route takes and what it answers, one file for each domain. JSON is camelCase,
//! times are epoch milliseconds. Functions serialize these types, the command line, the reference worker and the tests
//! read them.

pub mod provider;
