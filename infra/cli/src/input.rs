//! Values that a command reads from a file or from standard input.

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use anyhow::Context;

use crate::{output, terminal};

/// Reads a file, or standard input without one. On a terminal it first asks for `what`.
pub fn read(file: Option<PathBuf>, what: &str) -> anyhow::Result<String> {
    if let Some(file) = file {
        return std::fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()));
    }
    if io::stdin().is_terminal() {
        output::line(&format!("Enter {what}, then Ctrl-D:"));
    }
    Ok(io::read_to_string(io::stdin())?)
}

/// Reads a secret as [`read`] does. A terminal does not show it.
pub fn read_secret(file: Option<PathBuf>, what: &str) -> anyhow::Result<String> {
    if file.is_some() || !io::stdin().is_terminal() {
        return read(file, what);
    }
    output::line(&format!("Enter {what}, which is not shown, then Enter and Ctrl-D:"));
    Ok(terminal::read_hidden()?)
}
