//! The functions of the template, in this process or in processes of their own, connected to the events that the template declares for them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

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

use crate::lambda::{Launcher, ProcessFunction};

/// Attempts of an SDK call. The engine is in this process, so a second attempt helps only against injected faults.
const MAX_SDK_ATTEMPTS: u32 = 3;

/// The access of functions to AWS.
pub(crate) struct Access {
    pub aws: LocalAws,
    /// The permissions of each function, by its binary.
    pub permissions: BTreeMap<String, Permissions>,
}

impl Access {
    /// The access with the permissions that the template declares.
    pub fn of(aws: &LocalAws, template: &Template) -> Self {
        Self { aws: aws.clone(), permissions: permissions_of(template) }
    }
}

/// The parts that all functions share.
pub(crate) struct Boots {
    pub access: Access,
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
    Process(ProcessFunction),
}

impl Built {
    /// The router of a route of the HTTP API; `None` for a function that takes no requests.
    fn route(&self, method: &RouteMethod, path: &str) -> Option<Router> {
        match self {
            Self::Http(router) => Some(router.clone()),
            Self::Process(function) => Some(function.route(method, path)),
            Self::Event(_) => None,
        }
    }

    /// The router of the URL of the function.
    fn url(&self) -> Option<Router> {
        match self {
            Self::Http(router) => Some(router.clone()),
            Self::Process(function) => Some(function.url()),
            Self::Event(_) => None,
        }
    }

    /// The function for streams and schedules; `None` for a function that takes requests only.
    fn for_events(&self) -> Option<EventFunction> {
        match self {
            Self::Event(function) => Some(function.clone()),
            Self::Process(function) => Some(function.for_events()),
            Self::Http(_) => None,
        }
    }
}

/// How the functions are built.
pub(crate) enum Builder<'a> {
    /// In this process, with the tools that the console of `dev` has.
    InProcess { boots: &'a Boots, tools: &'a Arc<dyn DevTools> },
    /// In processes of their own.
    Processes(Launcher),
}

impl Boots {
    /// The boot parts of `function`. Its permissions are those of the template. Its environment is that of the template,
    /// except for the public URL, which depends on this machine.
    pub fn of(&self, function: &FunctionDef) -> Boot {
        let mut environment = function.environment.clone();
        if let Some(url) = environment.get_mut("PUBLIC_URL") {
            url.clone_from(&self.url);
        }
        let Access { aws, permissions } = &self.access;
        let permissions = permissions.get(&function.binary).expect("each function has its permissions");
        self.with(Env::from(environment), &aws.clone().with_permissions(permissions.clone()))
    }

    /// The boot parts of operator tasks, with all permissions and the variables of all functions.
    pub fn operator(&self, template: &Template) -> Boot {
        self.with(Env::from(variables_of_all(template)), &self.access.aws)
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

/// The permissions that the template declares for each function, by its binary. Equal roles of this process share the record
/// of the permissions that requests have used.
///
/// # Panics
/// Never: no code panics while it holds the lock.
pub fn permissions_of(template: &Template) -> BTreeMap<String, Permissions> {
    static ROLES: Mutex<BTreeMap<String, Permissions>> = Mutex::new(BTreeMap::new());
    let mut roles = ROLES.lock().expect("no code panics while it holds the lock");
    let of_function = |function: &FunctionDef| {
        let name = format!("{} {:?}", function.binary, function.statements);
        let role = roles.entry(name).or_insert_with(|| role_of(function));
        (function.binary.clone(), role.clone())
    };
    template.functions.iter().map(of_function).collect()
}

fn role_of(function: &FunctionDef) -> Permissions {
    let statement = |declared: &StatementDef| Statement {
        actions: declared.actions.clone(),
        resources: declared.resources.clone(),
    };
    Permissions::of(function.statements.iter().map(statement))
}

/// The variables of all functions. If they differ, the first function has precedence.
pub(crate) fn variables_of_all(template: &Template) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    for function in template.functions.iter().rev() {
        variables.extend(function.environment.clone());
    }
    variables
}

pub(crate) async fn build(template: &Template, builder: &Builder<'_>) -> anyhow::Result<Functions> {
    if let Builder::Processes(launcher) = builder {
        launcher.check(template)?;
    }
    let mut functions = Functions::default();
    let mut routes = Vec::new();
    for def in &template.functions {
        let built = match builder {
            Builder::InProcess { boots, tools } => build_one(def, &boots.of(def), tools)
                .await
                .with_context(|| format!("function {}", def.logical_id))?,
            Builder::Processes(launcher) => Built::Process(launcher.function(def)),
        };
        for event in &def.events {
            let refused = || format!("function {}: {event:?} cannot call it", def.logical_id);
            match event {
                EventDef::HttpApi { method, path } => {
                    let function = built.route(method, path).with_context(refused)?;
                    let (method, path, answer) = (method.clone(), path.clone(), AnswerMode::Buffered);
                    routes.push(Route { method, path, function, answer });
                }
                EventDef::FunctionUrl => routes.extend(streamed_routes(&built.url().with_context(refused)?)),
                EventDef::Schedule(schedule) => {
                    functions.schedules.push((schedule.clone(), built.for_events().with_context(refused)?));
                }
                EventDef::Stream(mapping) => {
                    functions.mappings.push((mapping.clone(), built.for_events().with_context(refused)?));
                }
            }
        }
    }
    functions.gateway = gateway::router(routes)?;
    if let Some(cors) = &template.cors {
        functions.gateway = functions.gateway.layer(cors.layer().map_err(anyhow::Error::msg)?);
    }
    Ok(functions)
}

/// The routes of the function that streams. Its URL has all of them; on this machine they share a port with the HTTP API.
pub fn streamed_routes(function: &Router) -> Vec<Route> {
    let route = |path| Route {
        method: RouteMethod::One(Method::GET),
        path,
        function: function.clone(),
        answer: AnswerMode::Streamed,
    };
    streamed_paths().map(route).collect()
}

/// The paths of the function that streams.
pub(crate) fn streamed_paths() -> impl Iterator<Item = String> {
    af_stream::openapi().paths.paths.into_keys()
}

/// The streams and schedules of the template, for functions that get their requests from elsewhere.
pub(crate) fn without_requests(
    template: &Template,
    event_function: impl Fn(&FunctionDef) -> EventFunction,
) -> Functions {
    let mut functions = Functions::default();
    for def in &template.functions {
        for event in &def.events {
            match event {
                EventDef::Schedule(schedule) => {
                    functions.schedules.push((schedule.clone(), event_function(def)));
                }
                EventDef::Stream(mapping) => functions.mappings.push((mapping.clone(), event_function(def))),
                EventDef::HttpApi { .. } | EventDef::FunctionUrl => {}
            }
        }
    }
    functions
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
