//! The cost of an operation, its ceiling, and the table of both.

use std::fmt::Write as _;
use std::ops::{Add, Sub};

use af_emulator_aws::Usage;

/// The measured cost of an operation.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    pub requests: u32,
    pub rounds: u32,
    pub write_units: f64,
    pub read_units: f64,
    pub failed_conditions: u32,
}

/// The limit of an operation's cost; `None` is no limit.
#[derive(Clone, Copy, Debug)]
pub struct Ceiling {
    requests: Option<u32>,
    rounds: Option<u32>,
    write_units: f64,
    read_units: Option<f64>,
}

/// One operation with its cost and its ceiling.
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

    /// The same ceiling without a limit for rounds.
    pub fn any_rounds(self) -> Self {
        Self { rounds: None, ..self }
    }

    /// The same ceiling without a limit for read units.
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

/// The additional cost of one call over another.
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

    /// One line for each figure above its ceiling.
    pub fn excesses(&self) -> Vec<String> {
        let (measured, ceiling) = (self.measured, self.ceiling);
        let figures = [
            ("requests", f64::from(measured.requests), ceiling.requests.map(f64::from)),
            ("sequential rounds", f64::from(measured.rounds), ceiling.rounds.map(f64::from)),
            ("write units", measured.write_units, Some(ceiling.write_units)),
            ("read units", measured.read_units, ceiling.read_units),
        ];
        let above =
            figures.into_iter().filter(|(_, measured, limit)| limit.is_some_and(|limit| *measured > limit));
        above
            .map(|(name, measured, limit)| {
                format!("{}: {measured} {name}, the ceiling is {}", self.operation, limit_text(limit))
            })
            .collect()
    }

    fn line(&self) -> String {
        let (measured, ceiling) = (self.measured, self.ceiling);
        let failed = match measured.failed_conditions {
            0 => String::new(),
            n => format!(" [{n}]"),
        };
        let limit = match (ceiling.requests, ceiling.rounds) {
            (Some(requests), Some(rounds)) => format!("{requests} ({rounds})"),
            (requests, _) => limit_text(requests.map(f64::from)),
        };
        format!(
            "| {}{failed} | {} ({}) | {limit} | {} | {} | {} | {} |",
            self.operation,
            measured.requests,
            measured.rounds,
            measured.write_units,
            ceiling.write_units,
            measured.read_units,
            limit_text(ceiling.read_units),
        )
    }
}

fn limit_text(limit: Option<f64>) -> String {
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
