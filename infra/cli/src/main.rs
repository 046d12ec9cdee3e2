//! `agent-factory`: the whole bundle on one machine, the reference worker, and operator commands over the API.

mod api;
mod commands;
mod dev;
mod input;
mod output;
mod profiles;
#[cfg(test)]
mod reference;
mod target;
mod terminal;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::api::{Api, ApiError};
use crate::target::Target;

/// Runs agents for many users: queue, leases, an elastic worker pool.
///
/// Exit codes: 0 it worked, 1 it failed, 2 the command line is wrong, 3 not found, 4 the key was refused.
///
/// Example: agent-factory dev
#[derive(Parser)]
#[command(name = "agent-factory", version, verbatim_doc_comment)]
struct Cli {
    #[command(flatten)]
    target: Target,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a whole deployment on this machine
    ///
    /// Example: agent-factory dev --port 8787
    #[command(verbatim_doc_comment)]
    Dev(dev::Dev),
    /// Store a deployment as a profile: its URL and its key, which is read from standard input or a file
    ///
    /// Example: agent-factory login prod https://agents.example.com --file key.txt
    #[command(verbatim_doc_comment)]
    Login(commands::login::Login),
    /// List the stored profiles, choose one, and delete one
    ///
    /// Example: agent-factory profiles use prod
    #[command(subcommand, verbatim_doc_comment)]
    Profiles(commands::login::Stored),
    /// Show the deployment on one screen: version, provider, workers, queue and the number of problems
    ///
    /// Example: agent-factory status
    #[command(verbatim_doc_comment)]
    Status(commands::status::Status),
    /// Show what the deployment lacks, each with the command that mends it; the exit code is 1 if anything is missing
    ///
    /// Example: agent-factory doctor
    #[command(verbatim_doc_comment)]
    Doctor(commands::doctor::Doctor),
    /// Run the reference worker (configured by its environment)
    ///
    /// Example: agent-factory worker --token-stdin
    #[command(verbatim_doc_comment)]
    Worker(commands::worker::Worker),
    /// Send an agent a message and print its reply
    ///
    /// Example: agent-factory chat support "hello"
    #[command(verbatim_doc_comment)]
    Chat(commands::chat::Chat),
    /// Show and change agent profiles
    ///
    /// Example: agent-factory agents list
    #[command(subcommand, verbatim_doc_comment)]
    Agents(commands::agents::Agents),
    /// Give agents Telegram bots, and set the webhooks of the bots
    ///
    /// Example: agent-factory bots add support --file token.txt
    #[command(subcommand, verbatim_doc_comment)]
    Bots(commands::bots::Bots),
    /// Create pairing codes, with which people connect with an agent on Telegram
    ///
    /// Example: agent-factory pairing create ann support
    #[command(subcommand, verbatim_doc_comment)]
    Pairing(commands::pairing::Pairing),
    /// Show, make and revoke bindings of users
    ///
    /// Example: agent-factory bindings get ann
    #[command(subcommand, verbatim_doc_comment)]
    Bindings(commands::bindings::Bindings),
    /// Show the agents of users, and their figures
    ///
    /// Example: agent-factory users overview ann
    #[command(subcommand, verbatim_doc_comment)]
    Users(commands::users::Users),
    /// Print the events of the conversation of a user with an agent, until Ctrl-C
    ///
    /// Example: agent-factory watch ann support --until-quiet
    #[command(verbatim_doc_comment)]
    Watch(commands::watch::Watch),
    /// Make, list and change message templates
    ///
    /// Example: agent-factory templates list
    #[command(subcommand, verbatim_doc_comment)]
    Templates(commands::templates::Templates),
    /// Set, list and delete secrets; no command shows a value
    ///
    /// Example: agent-factory secrets set fly.apiToken --file token.txt
    #[command(subcommand, verbatim_doc_comment)]
    Secrets(commands::secrets::Secrets),
    /// Show the queue and its messages; retry and cancel messages
    ///
    /// Example: agent-factory queue list --status dead_letter
    #[command(subcommand, verbatim_doc_comment)]
    Queue(commands::queue::Queue),
    /// Show what waits for its delivery to Telegram; send a reply again, and remove what blocks a chat
    ///
    /// Example: agent-factory outbox list
    #[command(subcommand, verbatim_doc_comment)]
    Outbox(commands::outbox::Outbox),
    /// Send messages at set times: push templates, push jobs and their dispatches
    ///
    /// Example: agent-factory push jobs list --user ann --agent support
    #[command(subcommand, verbatim_doc_comment)]
    Push(commands::push::Push),
    /// Send a text to every active agent, and watch or cancel it
    ///
    /// Example: agent-factory broadcast send --title News --text 'We have moved.'
    #[command(subcommand, verbatim_doc_comment)]
    Broadcast(commands::broadcast::Broadcast),
    /// Show a conversation, and free it from its worker
    ///
    /// Example: agent-factory conversations show user-agent:support:ann
    #[command(subcommand, verbatim_doc_comment)]
    Conversations(commands::conversations::Conversations),
    /// Deploy, list, activate and disable global skills
    ///
    /// Example: agent-factory skills deploy ./hello --version 1.0.0
    #[command(subcommand, verbatim_doc_comment)]
    Skills(commands::skills::Skills),
    /// Show what each day has used: messages, attempts, tokens and costs
    ///
    /// Example: agent-factory usage --scope agent --id support --from 2026-01-01
    #[command(verbatim_doc_comment)]
    Usage(commands::usage::Usage),
    /// Show and change the configuration
    ///
    /// Example: agent-factory config policies get
    #[command(subcommand, verbatim_doc_comment)]
    Config(commands::config::Config),
    /// Check and clear the provider that runs workers
    ///
    /// Example: agent-factory provider status
    #[command(subcommand, verbatim_doc_comment)]
    Provider(commands::provider::Provider),
    /// Show and reconcile the worker pool
    ///
    /// Example: agent-factory workers list
    #[command(subcommand, verbatim_doc_comment)]
    Workers(commands::workers::Workers),
    /// Show the log of a worker that runs as a process of this machine
    ///
    /// Example: agent-factory logs w-01K8ZD3V7Q --follow
    #[command(verbatim_doc_comment)]
    Logs(commands::logs::Logs),
    /// Call any route of the API, and print its answer
    ///
    /// Example: agent-factory api POST /v1/keys --data '{"name": "shop", "scopes": ["app"]}'
    #[command(verbatim_doc_comment)]
    Api(commands::call::Call),
    /// Print a script that completes commands in a shell
    ///
    /// Example: agent-factory completions bash
    #[command(verbatim_doc_comment)]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Exit code when the command line lacks something, as clap has it.
const EXIT_USAGE: u8 = 2;
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
                _ if error.is::<input::Unconfirmed>() => ExitCode::from(EXIT_USAGE),
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
        Command::Login(login) => login.run(target).await,
        Command::Profiles(profiles) => profiles.run(target),
        Command::Status(status) => status.run(&Api::of(target)?).await,
        Command::Doctor(doctor) => doctor.run(&Api::of(target)?).await,
        Command::Logs(logs) => logs.run(&Api::of(target)?, &target.data_dir).await,
        Command::Api(call) => call.run(&Api::of(target)?).await,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "agent-factory", &mut script);
            output::exact(String::from_utf8_lossy(&script).trim_end());
            Ok(())
        }
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

    use crate::reference;

    #[test]
    fn every_help_has_an_example_that_the_program_accepts() {
        let found = reference::examples(&super::Cli::command());
        assert!(found.faults.is_empty(), "{:#?}", found.faults);
        assert!(found.examples.len() > 100, "the rule finds too few examples");
        for words in found.examples {
            if let Err(refused) = super::Cli::try_parse_from(&words) {
                panic!("{words:?}: {refused}");
            }
        }
    }

    #[test]
    fn the_reference_of_commands_is_the_one_of_the_program() {
        reference::check(super::Cli::command());
    }

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
