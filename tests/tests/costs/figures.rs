//! What an operation costs, what it may cost, and the table of both.

use std::fmt::Write as _;
use std::ops::{Add, Sub};

use af_emulator_aws::Usage;

/// What an operation cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    pub requests: u32,
    pub rounds: u32,
    pub write_units: f64,
    pub read_units: f64,
    pub failed_conditions: u32,
}

/// What an operation may cost; `None` is not limited.
#[derive(Clone, Copy, Debug)]
pub struct Ceiling {
    requests: Option<u32>,
    rounds: Option<u32>,
    write_units: f64,
    read_units: Option<f64>,
}

/// One operation.
#[derive(Clone, Debug)]
pub struct Row {
    pub operation: String,
    pub measured: Figures,
    pub ceiling: Ceiling,
}

/// At most `requests` in `rounds`.
pub fn at_most(requests: u32, rounds: u32) -> Ceiling {
    Ceiling { requests: Some(requests), rounds: Some(rounds), write_units: 0.0, read_units: Some(0.0) }
}

/// Any number of requests.
pub fn any_requests() -> Ceiling {
    Ceiling { requests: None, rounds: None, write_units: 0.0, read_units: None }
}

impl Ceiling {
    pub fn writes(self, write_units: u32) -> Self {
        Self { write_units: f64::from(write_units), ..self }
    }

    pub fn reads(self, read_units: f64) -> Self {
        Self { read_units: Some(read_units), ..self }
    }

    /// Its rounds or reads are limited by nothing but the number of requests.
    pub fn any_rounds(self) -> Self {
        Self { rounds: None, ..self }
    }

    pub fn any_reads(self) -> Self {
        Self { read_units: None, ..self }
    }
}

impl From<&Usage> for Figures {
    fn from(usage: &Usage) -> Self {
        Self {
            requests: usage.requests,
            rounds: usage.rounds,
            write_units: usage.write_units,
            read_units: usage.read_units,
            failed_conditions: usage.failed_conditions,
        }
    }
}

impl Add for Figures {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            requests: self.requests + other.requests,
            rounds: self.rounds + other.rounds,
            write_units: self.write_units + other.write_units,
            read_units: self.read_units + other.read_units,
            failed_conditions: self.failed_conditions + other.failed_conditions,
        }
    }
}

/// What one call costs more than another.
impl Sub for Figures {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self {
            requests: self.requests - other.requests,
            rounds: self.rounds - other.rounds,
            write_units: self.write_units - other.write_units,
            read_units: self.read_units - other.read_units,
            failed_conditions: self.failed_conditions - other.failed_conditions,
        }
    }
}

impl Row {
    pub fn new(operation: impl Into<String>, measured: Figures, ceiling: Ceiling) -> Self {
        Self { operation: operation.into(), measured, ceiling }
    }

    /// What is above its ceiling, one line each.
    pub fn excesses(&self) -> Vec<String> {
        let (is, may) = (self.measured, self.ceiling);
        let figures = [
            ("requests", f64::from(is.requests), may.requests.map(f64::from)),
            ("sequential rounds", f64::from(is.rounds), may.rounds.map(f64::from)),
            ("write units", is.write_units, Some(may.write_units)),
            ("read units", is.read_units, may.read_units),
        ];
        let above = figures.into_iter().filter(|(_, is, may)| may.is_some_and(|may| *is > may));
        above
            .map(|(what, is, may)| format!("{}: {is} {what}, at most {}", self.operation, some(may)))
            .collect()
    }

    fn line(&self) -> String {
        let (is, may) = (self.measured, self.ceiling);
        let failed = match is.failed_conditions {
            0 => String::new(),
            n => format!(" [{n}]"),
        };
        let limit = match (may.requests, may.rounds) {
            (Some(requests), Some(rounds)) => format!("{requests} ({rounds})"),
            (requests, _) => some(requests.map(f64::from)),
        };
        format!(
            "| {}{failed} | {} ({}) | {limit} | {} | {} | {} | {} |",
            self.operation,
            is.requests,
            is.rounds,
            is.write_units,
            may.write_units,
            is.read_units,
            some(may.read_units),
        )
    }
}

fn some(limit: Option<f64>) -> String {
    limit.map_or_else(|| "–".to_owned(), |limit| limit.to_string())
}

/// The document: `intro`, then one line per row.
pub fn document(intro: &str, rows: &[Row]) -> String {
    let mut text = format!(
        "{intro}\n| operation | requests (rounds) | ceiling | write units | ceiling | read units | ceiling |\n\
         |---|---|---|---|---|---|---|\n"
    );
    for row in rows {
        writeln!(text, "{}", row.line()).expect("writing to a string cannot fail");
    }
    text
}
