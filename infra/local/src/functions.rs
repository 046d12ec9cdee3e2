//! The functions of the template, built as on Lambda and connected to the events that the template declares for them.

use std::collections::BTreeMap;
use std::sync::Arc;

use af_app::Boot;
use af_providers::Providers;
use af_runtime::clock::SharedClock;
use af_runtime::entropy::Entropy;
use af_runtime::env::Env;
use anyhow::{Context, bail};
use axum::Router;

use af_sam::gateway::{self, Route};
use af_sam::invoke::EventFunction;
use af_sam::schedule::ScheduleDef;
use af_sam::stream::Mapping;
use af_sam::stream::filter::Pattern;
use af_sam::template::{EventDef, FunctionDef, Template};

/// The parts that all functions share.
pub(crate) struct Boots {
    pub sdk: aws_types::SdkConfig,
    pub clock: SharedClock,
    pub entropy: Arc<Entropy>,
    pub providers: Providers,
    /// The public URL of this machine.
    pub url: String,
}

/// The functions, by the kind of their events.
pub(crate) struct Functions {
    pub gateway: Router,
    pub mappings: Vec<Mapping>,
    pub schedules: Vec<ScheduleDef>,
    /// The functions that schedules call.
    pub scheduled: Vec<EventFunction>,
}

enum Built {
    Http(Router),
    Event(EventFunction),
}

impl Boots {
    /// The boot parts of `function`. Its environment is that of the template, except for the public URL, which
    /// depends on this machine.
    pub fn of(&self, function: &FunctionDef) -> Boot {
        let mut environment = function.environment.clone();
        if let Some(url) = environment.get_mut("PUBLIC_URL") {
            url.clone_from(&self.url);
        }
        self.with(Env::from(environment))
    }

    /// The boot parts of operator tasks: the variables of all functions. If they differ, the first function has
    /// precedence.
    pub fn operator(&self, template: &Template) -> Boot {
        let mut environment = BTreeMap::new();
        for function in template.functions.iter().rev() {
            environment.extend(function.environment.clone());
        }
        self.with(Env::from(environment))
    }

    fn with(&self, env: Env) -> Boot {
        Boot {
            env,
            sdk: self.sdk.clone(),
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
            providers: self.providers.clone(),
        }
    }
}

/// No functions, for a stack that serves only its own routes.
pub(crate) fn none() -> Functions {
    Functions { gateway: Router::new(), mappings: Vec::new(), schedules: Vec::new(), scheduled: Vec::new() }
}

pub(crate) async fn build(template: &Template, boots: &Boots) -> anyhow::Result<Functions> {
    let mut functions = none();
    let mut routes = Vec::new();
    for def in &template.functions {
        let built =
            build_one(def, &boots.of(def)).await.with_context(|| format!("function {}", def.logical_id))?;
        for event in &def.events {
            match (event, &built) {
                (EventDef::HttpApi { method, path }, Built::Http(router)) => {
                    routes.push(Route {
                        method: method.clone(),
                        path: path.clone(),
                        function: router.clone(),
                    });
                }
                (EventDef::Schedule { name, every, enabled, input }, Built::Event(_)) => {
                    functions.schedules.push(ScheduleDef {
                        name: name.clone(),
                        function: def.logical_id.clone(),
                        every: *every,
                        enabled: *enabled,
                        input: input.clone(),
                    });
                }
                (EventDef::Stream { .. }, Built::Event(function)) => {
                    functions.mappings.push(mapping(template, def, event, function)?);
                }
                _ => bail!("function {}: {event:?} cannot call it", def.logical_id),
            }
        }
        if let Built::Event(function) = built {
            functions.scheduled.push(function);
        }
    }
    functions.gateway = gateway::router(routes)?;
    Ok(functions)
}

async fn build_one(def: &FunctionDef, boot: &Boot) -> anyhow::Result<Built> {
    Ok(match def.binary.as_str() {
        "webhook" => Built::Http(af_webhook::build(boot).await?),
        "worker" => Built::Http(af_worker::build(boot).await?),
        "user-api" => Built::Http(af_user_api::build(boot).await?),
        "admin-api" => Built::Http(af_admin_api::build(boot).await?),
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
        other => bail!("the template names the binary {other}, which does not exist"),
    })
}

fn mapping(
    template: &Template,
    def: &FunctionDef,
    event: &EventDef,
    function: &EventFunction,
) -> anyhow::Result<Mapping> {
    let EventDef::Stream {
        name,
        table,
        batch_size,
        window,
        filters,
        max_retries,
        bisect,
        report_batch_item_failures,
    } = event
    else {
        bail!("{event:?} is no stream mapping");
    };
    let table = template.table(table).with_context(|| format!("there is no table {table}"))?;
    Ok(Mapping {
        id: format!("{}{name}", def.logical_id),
        table: table.name.clone(),
        function: function.clone(),
        filters: filters.iter().map(Pattern::compile).collect::<Result<_, _>>()?,
        batch_size: *batch_size,
        window: *window,
        max_retries: *max_retries,
        bisect: *bisect,
        report_batch_item_failures: *report_batch_item_failures,
    })
}
