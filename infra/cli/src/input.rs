//! Values that a command reads from its arguments, from a file or from standard input.

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use anyhow::{Context, bail};

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
fn read_secret(file: Option<PathBuf>, what: &str) -> anyhow::Result<String> {
    if file.is_some() || !io::stdin().is_terminal() {
        return read(file, what);
    }
    output::line(&format!("Enter {what}, which is not shown, then Enter and Ctrl-D:"));
    Ok(terminal::read_hidden()?)
}

/// Reads a secret that must have a value, without the line end that editors and `echo` add.
pub fn read_value(file: Option<PathBuf>, what: &str) -> anyhow::Result<String> {
    let mut value = read_secret(file, what)?;
    while value.ends_with(['\n', '\r']) {
        value.pop();
    }
    if value.is_empty() {
        bail!("{what} is empty");
    }
    Ok(value)
}

/// What a command does to stored data after a confirmation.
#[derive(Clone, Copy, Debug)]
pub enum Deed {
    Delete,
    Replace,
}

impl Deed {
    const fn verb(self) -> &'static str {
        match self {
            Self::Delete => "delete",
            Self::Replace => "replace",
        }
    }
}

/// A deed that the command line does not confirm, and that no person can confirm.
#[derive(Debug, thiserror::Error)]
#[error("{what} would be {verb}d; without a terminal, confirm it with --yes", verb = deed.verb())]
pub struct Unconfirmed {
    deed: Deed,
    what: String,
}

/// Asks on a terminal before the deed is done to `what`, unless `yes` confirms it. Without a terminal only `yes` does.
pub fn confirm(yes: bool, deed: Deed, what: &str) -> anyhow::Result<()> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(Unconfirmed { deed, what: what.to_owned() }.into());
    }
    let verb = deed.verb();
    output::line(&format!("Enter y to {verb} {what}:"));
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => bail!("nothing is {verb}d"),
    }
}

/// Reads a length of time into milliseconds.
pub fn length(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err("use 90s, 30m, 2h, 7d, or milliseconds".to_owned()),
    };
    let number: u64 = digits.parse().map_err(|_| "use 90s, 30m, 2h, 7d, or milliseconds".to_owned())?;
    number.checked_mul(unit).ok_or_else(|| "the length is too large".to_owned())
}

#[cfg(test)]
mod tests {
    use super::length;

    #[test]
    fn lengths_are_read_with_their_units() {
        assert_eq!([length("5"), length("90s"), length("30m")], [Ok(5), Ok(90_000), Ok(1_800_000)]);
        assert_eq!([length("2h"), length("1d")], [Ok(7_200_000), Ok(86_400_000)]);
        assert!(length("soon").is_err() && length("5w").is_err() && length("-1s").is_err());
    }
}
