//! The functions of the template, built as on Lambda and connected to the events that the template declares for them.

use std::collections::BTreeMap;
use std::sync::Arc;

use af_app::Boot;
use af_console::DevTools;
use af_emulator_aws::{LocalAws, Permissions, Statement};
use af_providers::Providers;
use af_runtime::clock::SharedClock;
use af_runtime::entropy::Entropy;
use af_runtime::env::Env;
use af_runtime::time::Waits;
use af_sam::gateway::{self, AnswerMode, Route, RouteMethod};
use af_sam::invoke::EventFunction;
use af_sam::schedule::ScheduleDef;
use af_sam::stream::Mapping;
use af_sam::template::{EventDef, FunctionDef, StatementDef, Template};
use anyhow::{Context, bail};
use aws_smithy_types::retry::RetryConfig;
use axum::Router;
use http::Method;

/// Attempts of an SDK call. The engine is in this process, so a second attempt helps only against injected faults.
const MAX_SDK_ATTEMPTS: u32 = 3;

/// The parts that all functions share.
pub(crate) struct Boots {
    pub aws: LocalAws,
    pub clock: SharedClock,
    pub entropy: Arc<Entropy>,
    pub providers: Providers,
    pub waits: Waits,
    /// The public URL of this machine.
    pub url: String,
}

/// The functions, by the kind of their events.
#[derive(Default)]
pub(crate) struct Functions {
    pub gateway: Router,
    pub mappings: Vec<(Mapping, EventFunction)>,
    pub schedules: Vec<(ScheduleDef, EventFunction)>,
}

enum Built {
    Http(Router),
    Event(EventFunction),
}

impl Boots {
    /// The boot parts of `function`. Its permissions are those of the template. Its environment is that of the template,
    /// except for the public URL, which depends on this machine.
    pub fn of(&self, function: &FunctionDef) -> Boot {
        let mut environment = function.environment.clone();
        if let Some(url) = environment.get_mut("PUBLIC_URL") {
            url.clone_from(&self.url);
        }
        self.with(Env::from(environment), &self.aws.clone().with_permissions(permissions_of(function)))
    }

    /// The boot parts of operator tasks: all permissions, and the variables of all functions. If they differ, the first
    /// function has precedence.
    pub fn operator(&self, template: &Template) -> Boot {
        let mut environment = BTreeMap::new();
        for function in template.functions.iter().rev() {
            environment.extend(function.environment.clone());
        }
        self.with(Env::from(environment), &self.aws)
    }

    fn with(&self, env: Env, aws: &LocalAws) -> Boot {
        Boot {
            env,
            sdk: aws.sdk_config(RetryConfig::standard().with_max_attempts(MAX_SDK_ATTEMPTS)),
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
            providers: self.providers.clone(),
            waits: self.waits.clone(),
        }
    }
}

/// The permissions that the template declares for `function`.
pub fn permissions_of(function: &FunctionDef) -> Permissions {
    let statement = |declared: &StatementDef| Statement {
        actions: declared.actions.clone(),
        resources: declared.resources.clone(),
    };
    Permissions::of(function.statements.iter().map(statement))
}

pub(crate) async fn build(
    template: &Template,
    boots: &Boots,
    tools: &Arc<dyn DevTools>,
) -> anyhow::Result<Functions> {
    let mut functions = Functions::default();
    let mut routes = Vec::new();
    for def in &template.functions {
        let built = build_one(def, &boots.of(def), tools)
            .await
            .with_context(|| format!("function {}", def.logical_id))?;
        for event in &def.events {
            match (event, &built) {
                (EventDef::HttpApi { method, path }, Built::Http(router)) => {
                    let (method, path) = (method.clone(), path.clone());
                    let answer = AnswerMode::Buffered;
                    routes.push(Route { method, path, function: router.clone(), answer });
                }
                (EventDef::FunctionUrl, Built::Http(router)) => routes.extend(streamed_routes(router)),
                (EventDef::Schedule(schedule), Built::Event(function)) => {
                    functions.schedules.push((schedule.clone(), function.clone()));
                }
                (EventDef::Stream(mapping), Built::Event(function)) => {
                    functions.mappings.push((mapping.clone(), function.clone()));
                }
                _ => bail!("function {}: {event:?} cannot call it", def.logical_id),
            }
        }
    }
    functions.gateway = gateway::router(routes)?;
    Ok(functions)
}

/// The routes of the function that streams. Its URL has all of them; on this machine they share a port with the HTTP API.
pub fn streamed_routes(function: &Router) -> Vec<Route> {
    let paths = af_stream::openapi().paths.paths.into_keys();
    let route = |path| Route {
        method: RouteMethod::One(Method::GET),
        path,
        function: function.clone(),
        answer: AnswerMode::Streamed,
    };
    paths.map(route).collect()
}

async fn build_one(def: &FunctionDef, boot: &Boot, tools: &Arc<dyn DevTools>) -> anyhow::Result<Built> {
    Ok(match def.binary.as_str() {
        "webhook" => Built::Http(af_webhook::build(boot).await?),
        "worker" => Built::Http(af_worker::build(boot).await?),
        "user-api" => Built::Http(af_user_api::build(boot).await?),
        "admin-api" => Built::Http(af_admin_api::build(boot).await?),
        "stream" => Built::Http(af_stream::build(boot).await?),
        "console" => Built::Http(af_console::build_with(boot, Some(tools.clone()))?),
        "reconcile" => {
            let function = Arc::new(af_reconcile::build(boot).await?);
            Built::Event(EventFunction::new(&def.logical_id, def.timeout, move |event| {
                let function = function.clone();
                async move { function.handle(event).await }
            }))
        }
        "effects" => {
            let function = Arc::new(af_effects::build(boot).await?);
            Built::Event(EventFunction::new(&def.logical_id, def.timeout, move |event| {
                let function = function.clone();
                async move { function.handle(event).await }
            }))
        }
        "push-dispatch" => {
            let function = Arc::new(af_push_dispatch::build(boot).await?);
            Built::Event(EventFunction::new(&def.logical_id, def.timeout, move |event| {
                let function = function.clone();
                async move { function.handle(event).await }
            }))
        }
        other => bail!("the template names the binary {other}, which does not exist"),
    })
}
