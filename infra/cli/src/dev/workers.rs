//! What the workers of `dev` run: the engine, its model, and their variables.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use af_agent::ModelRef;
use af_providers::WorkerKind;
use anyhow::{Context, bail, ensure};
use clap::{Args, ValueEnum};
use secrecy::{ExposeSecret, SecretString};

use super::worker_env::{self, Variable, Variables};

/// The variables that both engines with a model take from the shell, unless an option names them.
const FROM_SHELL: [&str; 2] = ["OPENAI_API_KEY", "OPENAI_BASE_URL"];
/// The command of OpenClaw's gateway. The deployment's own default is the path in a published image.
const GATEWAY_COMMAND: &str = "openclaw gateway";
/// A laptop starts OpenClaw beside other programs.
const READY_TIMEOUT_MS: &str = "180000";

/// The options of workers.
#[derive(Debug, Args)]
pub struct WorkerArgs {
    /// What answers messages: an echo (the default), a program, a model, or OpenClaw
    #[arg(long, value_enum, conflicts_with = "worker_command")]
    engine: Option<EngineOption>,
    /// The model of `--engine openai` and `openclaw`, such as openai/gpt-5-mini
    #[arg(long, value_name = "PROVIDER/MODEL", conflicts_with = "worker_command")]
    model: Option<String>,
    /// The program of `--engine command`: bundle as JSON on standard input, reply on standard output
    #[arg(long, value_name = "PROGRAM", conflicts_with = "worker_command")]
    agent_command: Option<PathBuf>,
    /// A variable of every worker; a name alone takes its value from this shell, so that no process list shows it. Kept for
    /// later starts; an empty value removes it
    #[arg(long = "worker-env", value_name = "NAME[=VALUE]")]
    worker_env: Vec<Variable>,
    /// A program to start in place of our worker, such as the start script of a worker image
    #[arg(long, value_name = "PROGRAM")]
    worker_command: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum EngineOption {
    Echo,
    Command,
    Openai,
    Openclaw,
}

/// What every worker runs.
pub struct Workers {
    pub program: PathBuf,
    pub args: Vec<String>,
    pub kind: WorkerKind,
    /// Variables that lists may show.
    pub shown_env: BTreeMap<String, String>,
    /// The others.
    pub secret_env: Variables,
}

impl WorkerArgs {
    /// Checks the options, and keeps the variables in the folder, if there is one.
    pub fn choose(&self, kept_in: Option<&Path>) -> anyhow::Result<Workers> {
        let shell = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        let kept = kept_in.map(worker_env::kept).transpose()?.unwrap_or_default();
        let chosen = self.chosen(kept, shell)?;
        kept_in.map_or(Ok(()), |folder| worker_env::keep(folder, &chosen.secret_env))?;
        Ok(chosen)
    }

    fn chosen(&self, kept: Variables, shell: impl Fn(&str) -> Option<String>) -> anyhow::Result<Workers> {
        let mut secret_env = kept;
        if let Some(program) = &self.worker_command {
            worker_env::add(&mut secret_env, &self.worker_env, shell)?;
            let (program, args) = (existing("--worker-command", program)?, Vec::new());
            let (kind, shown_env) = (WorkerKind::Image, BTreeMap::new());
            return Ok(Workers { program, args, kind, shown_env, secret_env });
        }
        let engine = self.engine()?;
        if matches!(engine, EngineOption::Openai | EngineOption::Openclaw) {
            let key = self.model.as_deref().map(|model| ModelRef::of(model).key_name());
            let own = FROM_SHELL.into_iter().map(str::to_owned).chain(key);
            secret_env.extend(own.filter_map(|name| Some((name.clone(), SecretString::from(shell(&name)?)))));
        }
        worker_env::add(&mut secret_env, &self.worker_env, &shell)?;
        let path =
            secret_env.get("PATH").map(|path| path.expose_secret().to_owned()).or_else(|| shell("PATH"));
        self.check(engine, &secret_env, path.as_deref())?;
        Ok(Workers {
            program: std::env::current_exe().context("this program cannot find itself to start workers")?,
            args: vec!["worker".to_owned()],
            kind: WorkerKind::Reference,
            shown_env: self.engine_env(engine)?,
            secret_env,
        })
    }

    fn engine(&self) -> anyhow::Result<EngineOption> {
        let engine = match (self.engine, &self.agent_command) {
            (None, Some(_)) => EngineOption::Command,
            (None, None) => EngineOption::Echo,
            (Some(EngineOption::Command), None) => bail!("--engine command: add --agent-command PROGRAM"),
            (Some(engine), None) => engine,
            (Some(EngineOption::Command), Some(_)) => EngineOption::Command,
            (Some(_), Some(_)) => {
                bail!("--agent-command: only --engine command runs it; leave one of them out")
            }
        };
        let has_model = matches!(engine, EngineOption::Openai | EngineOption::Openclaw);
        ensure!(
            self.model.is_none() || has_model,
            "--model: only the engines openai and openclaw have one; add --engine openai"
        );
        Ok(engine)
    }

    /// Checks that the engine has a model, a key, and its program.
    fn check(&self, engine: EngineOption, env: &Variables, path: Option<&str>) -> anyhow::Result<()> {
        let (name, is_openclaw) = match engine {
            EngineOption::Openai => ("openai", false),
            EngineOption::Openclaw => ("openclaw", true),
            EngineOption::Echo | EngineOption::Command => return Ok(()),
        };
        let value = |name: &str| env.get(name).map(SecretString::expose_secret);
        let model =
            self.model.as_deref().or_else(|| value("OPENCLAW_AGENT_MODEL")).or_else(|| value("OPENAI_MODEL"));
        let has_file = is_openclaw && value("AGENT_FACTORY_OPENCLAW_CONFIG").is_some();
        ensure!(
            model.is_some() || has_file,
            "--engine {name}: add --model, such as --model openai/gpt-5-mini"
        );
        // OpenClaw knows many providers and several ways to log in, so only a missing key of OpenAI is certain.
        let asks_openai = !is_openclaw || model.is_some_and(|model| ModelRef::of(model).provider == "openai");
        ensure!(
            !asks_openai
                || has_file
                || value("OPENAI_API_KEY").is_some()
                || value("OPENAI_BASE_URL").is_some(),
            "--engine {name}: export OPENAI_API_KEY, or OPENAI_BASE_URL for a server that needs no key"
        );
        if is_openclaw {
            let command = value("OPENCLAW_GATEWAY_COMMAND").unwrap_or(GATEWAY_COMMAND);
            let program = command.split_whitespace().next().unwrap_or_default();
            ensure!(
                is_program(program, path.unwrap_or_default().as_ref()),
                "--engine openclaw: PATH has no program {program}; run `npm install --global openclaw` with Node 24, \
                 or name it with --worker-env OPENCLAW_GATEWAY_COMMAND='<program> gateway'"
            );
        }
        Ok(())
    }

    /// The variables of the engine.
    fn engine_env(&self, engine: EngineOption) -> anyhow::Result<BTreeMap<String, String>> {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        // The program of an agent is the developer's own, and its files are in the developer's folders.
        let own_user = pair("AGENT_FACTORY_COMMAND_UID", &rustix::process::geteuid().as_raw().to_string());
        let mut env = match engine {
            EngineOption::Echo => BTreeMap::from([pair("AGENT_FACTORY_ENGINE", "echo")]),
            EngineOption::Openai => BTreeMap::from([pair("AGENT_FACTORY_ENGINE", "openai")]),
            EngineOption::Openclaw => BTreeMap::from([
                pair("AGENT_FACTORY_ENGINE", "openclaw"),
                pair("OPENCLAW_GATEWAY_COMMAND", GATEWAY_COMMAND),
                pair("OPENCLAW_GATEWAY_READY_TIMEOUT_MS", READY_TIMEOUT_MS),
                own_user,
            ]),
            EngineOption::Command => {
                let program = self.agent_command.as_deref().unwrap_or(Path::new(""));
                let program = existing("--agent-command", program)?.display().to_string();
                BTreeMap::from([
                    pair("AGENT_FACTORY_ENGINE", "command"),
                    pair("AGENT_FACTORY_COMMAND", &program),
                    own_user,
                ])
            }
        };
        env.extend(self.model.as_ref().map(|model| pair("OPENCLAW_AGENT_MODEL", model)));
        Ok(env)
    }
}

/// The absolute path of a program that an option names.
fn existing(option: &str, program: &Path) -> anyhow::Result<PathBuf> {
    let program = std::path::absolute(program)?;
    ensure!(program.exists(), "{option}: {} does not exist", program.display());
    Ok(program)
}

/// Whether the program is a file, or a name in one of the folders of `path`.
fn is_program(program: &str, path: &OsStr) -> bool {
    Path::new(program).is_file() || std::env::split_paths(path).any(|dir| dir.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Options {
        #[command(flatten)]
        workers: WorkerArgs,
    }

    fn chosen(args: &[&str], shell: &[(&str, &str)]) -> anyhow::Result<Workers> {
        let options = Options::try_parse_from([&["dev"], args].concat())?;
        let shell: BTreeMap<_, _> = shell.iter().copied().collect();
        options.workers.chosen(Variables::new(), |name| shell.get(name).map(|value| (*value).to_owned()))
    }

    #[test]
    fn options_that_do_not_fit_together_are_refused_with_the_fix() {
        let key = [("OPENAI_API_KEY", "k")];
        for (args, shell, fix) in [
            (&["--engine", "command"][..], &[][..], "add --agent-command"),
            (&["--engine", "echo", "--agent-command", "/bin/cat"], &[], "leave one of them out"),
            (&["--model", "m"], &[], "add --engine openai"),
            (&["--agent-command", "/bin/cat", "--model", "m"], &[], "add --engine openai"),
            (&["--agent-command", "/no/such/program"], &[], "does not exist"),
            (&["--engine", "openai"], &key, "add --model"),
            (&["--engine", "openai", "--model", "m"], &[], "export OPENAI_API_KEY"),
            (&["--engine", "openclaw", "--model", "m"], &[], "export OPENAI_API_KEY"),
            (&["--engine", "openclaw", "--model", "m"], &key, "npm install --global openclaw"),
            (&["--worker-command", "/bin/cat", "--engine", "echo"], &[], "cannot be used with"),
            (&["--worker-command", "/no/such/program"], &[], "does not exist"),
        ] {
            let refused = chosen(args, shell).err().unwrap().to_string();
            assert!(refused.contains(fix), "{args:?}: {refused}");
        }
    }

    #[test]
    fn the_key_of_a_model_comes_from_the_shell_and_is_not_among_the_shown_variables() {
        let shell =
            [("OPENAI_API_KEY", "sk-1"), ("OPENAI_BASE_URL", "http://127.0.0.1:1/v1"), ("OTHER", "o")];
        let workers = chosen(&["--engine", "openai", "--model", "openai/small"], &shell).unwrap();
        assert_eq!(workers.shown_env["OPENCLAW_AGENT_MODEL"], "openai/small");
        assert!(!workers.shown_env.values().any(|value| value == "sk-1"));
        assert_eq!(workers.secret_env["OPENAI_API_KEY"].expose_secret(), "sk-1");
        assert!(!workers.secret_env.contains_key("OTHER"));
        let workers = chosen(&[], &shell).unwrap();
        assert!(workers.secret_env.is_empty(), "an echo needs no key");
    }

    #[test]
    fn a_program_in_place_of_our_worker_gets_only_its_own_variables() {
        let workers = chosen(&["--worker-command", "/bin/cat", "--worker-env", "A=1"], &[]).unwrap();
        assert_eq!((workers.kind, workers.args.len(), workers.shown_env.len()), (WorkerKind::Image, 0, 0));
        assert_eq!(workers.secret_env["A"].expose_secret(), "1");
    }
}
