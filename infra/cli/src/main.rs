//! `agent-factory`: the whole bundle on one machine, the reference worker, and operator commands over the API.

mod api;
mod commands;
mod dev;
mod input;
mod output;
mod target;
mod terminal;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::api::{Api, ApiError};
use crate::target::Target;

/// Runs agents for many users: queue, leases, an elastic worker pool.
#[derive(Debug, Parser)]
#[command(name = "agent-factory", version, about)]
struct Cli {
    #[command(flatten)]
    target: Target,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a whole deployment on this machine
    Dev(dev::Dev),
    /// Run the reference worker (configured by its environment)
    Worker(commands::worker::Worker),
    /// Send an agent a message and print its reply
    Chat(commands::chat::Chat),
    /// Show and change agent profiles
    #[command(subcommand)]
    Agents(commands::agents::Agents),
    /// Give agents Telegram bots, and set the webhooks of the bots
    #[command(subcommand)]
    Bots(commands::bots::Bots),
    /// Create pairing codes, with which people connect with an agent on Telegram
    #[command(subcommand)]
    Pairing(commands::pairing::Pairing),
    /// Show, make and revoke bindings of users
    #[command(subcommand)]
    Bindings(commands::bindings::Bindings),
    /// Show the agents of users, and their figures
    #[command(subcommand)]
    Users(commands::users::Users),
    /// Print the events of the conversation of a user with an agent, until Ctrl-C
    Watch(commands::watch::Watch),
    /// Make, list and change message templates
    #[command(subcommand)]
    Templates(commands::templates::Templates),
    /// Set, list and delete secrets; no command shows a value
    #[command(subcommand)]
    Secrets(commands::secrets::Secrets),
    /// Show the queue and its messages; retry and cancel messages
    #[command(subcommand)]
    Queue(commands::queue::Queue),
    /// Show what waits for its delivery to Telegram; send a reply again, and remove what blocks a chat
    #[command(subcommand)]
    Outbox(commands::outbox::Outbox),
    /// Send messages at set times: push templates, push jobs and their dispatches
    #[command(subcommand)]
    Push(commands::push::Push),
    /// Send a text to every active agent, and watch or cancel it
    #[command(subcommand)]
    Broadcast(commands::broadcast::Broadcast),
    /// Show a conversation, and free it from its worker
    #[command(subcommand)]
    Conversations(commands::conversations::Conversations),
    /// Deploy, list, activate and disable global skills
    #[command(subcommand)]
    Skills(commands::skills::Skills),
    /// Show what each day has used: messages, attempts, tokens and costs
    Usage(commands::usage::Usage),
    /// Show and change the configuration
    #[command(subcommand)]
    Config(commands::config::Config),
    /// Check and clear the provider that runs workers
    #[command(subcommand)]
    Provider(commands::provider::Provider),
    /// Show and reconcile the worker pool
    #[command(subcommand)]
    Workers(commands::workers::Workers),
}

/// Exit code when the deployment answers 404.
const EXIT_NOT_FOUND: u8 = 3;
/// Exit code when the deployment refuses the key.
const EXIT_AUTH: u8 = 4;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // Help and errors of usage.
        Err(shown) => {
            shown.print().unwrap_or_else(|error| output::unwritable(&error));
            return ExitCode::from(u8::try_from(shown.exit_code()).unwrap_or(u8::MAX));
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let ran = match runtime {
        Ok(runtime) => runtime.block_on(run(cli)),
        Err(error) => Err(error.into()),
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::error(&format!("{error:#}"));
            match error.downcast_ref::<ApiError>() {
                Some(ApiError::Refused { status: 404, .. }) => ExitCode::from(EXIT_NOT_FOUND),
                Some(ApiError::Refused { status: 401 | 403, .. }) => ExitCode::from(EXIT_AUTH),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    let target = &cli.target;
    match cli.command {
        Command::Dev(dev) => dev.run(target).await,
        Command::Worker(worker) => worker.run().await,
        Command::Chat(chat) => chat.run(&Api::of(target)?).await,
        Command::Agents(agents) => agents.run(&Api::of(target)?).await,
        Command::Bots(bots) => bots.run(&Api::of(target)?).await,
        Command::Pairing(pairing) => pairing.run(&Api::of(target)?).await,
        Command::Bindings(bindings) => bindings.run(&Api::of(target)?).await,
        Command::Users(users) => users.run(&Api::of(target)?).await,
        Command::Watch(watch) => watch.run(&Api::of(target)?).await,
        Command::Templates(templates) => templates.run(&Api::of(target)?).await,
        Command::Secrets(secrets) => secrets.run(&Api::of(target)?).await,
        Command::Queue(queue) => queue.run(&Api::of(target)?).await,
        Command::Outbox(outbox) => outbox.run(&Api::of(target)?).await,
        Command::Push(push) => push.run(&Api::of(target)?).await,
        Command::Broadcast(broadcast) => broadcast.run(&Api::of(target)?).await,
        Command::Conversations(conversations) => conversations.run(&Api::of(target)?).await,
        Command::Skills(skills) => skills.run(&Api::of(target)?).await,
        Command::Usage(usage) => usage.run(&Api::of(target)?).await,
        Command::Config(config) => config.run(&Api::of(target)?).await,
        Command::Provider(provider) => provider.run(&Api::of(target)?).await,
        Command::Workers(workers) => workers.run(&Api::of(target)?).await,
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }

    #[test]
    fn a_retry_is_of_one_message_or_of_all_of_a_conversation_or_an_agent() {
        let accepted = |args: &str| {
            let words = ["agent-factory", "queue", "retry"].into_iter().chain(args.split_whitespace());
            super::Cli::try_parse_from(words).is_ok()
        };
        for args in ["m", "--all --conversation c", "--all --agent a"] {
            assert!(accepted(args), "{args}");
        }
        for args in
            ["", "--all", "m --all --agent a", "m --agent a", "--agent a", "--all --agent a --conversation c"]
        {
            assert!(!accepted(args), "{args}");
        }
    }
}
