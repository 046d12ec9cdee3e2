//! The emulator as a program: `model-emulator [PORT]`. It prints the base URL of its API and runs until it is killed.

use std::io::Write;

use af_emulator_model::ModelEmulator;
use anyhow::Context;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let port = std::env::args().nth(1).map_or(Ok(0), |port| port.parse());
    let port = port.context("the argument must be a port, or 0 for a free one")?;
    let (url, served) = ModelEmulator::default().serve(port).await.context("the port cannot be used")?;
    writeln!(std::io::stdout(), "{url}")?;
    served.await?;
    Ok(())
}
