use af_api::pages::Page;
use af_api::usage::{LedgerBody, LedgerFigures, UsageQuery};
use af_app::queue::ledger::{self, Account, Days, LedgerRow, Rows};
use af_app::{App, AppError};
use af_domain::ids::{AgentKey, ConsumerUserId};
use af_domain::push::Day;
use af_domain::refusal::Refusal;
use af_http::{ApiQuery, Json, Problem};

use crate::caller::Viewer;
use crate::paging;

/// Lists what each day has used, from the ledger: of the deployment, or of one agent or user. With `by`, the figures of the
/// deployment are split by agent, user or model. The ledger follows the messages within seconds.
///
/// # Errors
/// 422 for a scope that cannot be split in this way, for a malformed day, and for a limit or cursor that is not acceptable.
#[utoipa::path(
    get, path = "/v1/usage",
    operation_id = "listUsage", tag = "usage",
    security(("apiKey" = ["admin", "read"])), params(UsageQuery),
    responses((status = 200, body = Page<LedgerBody>)),
)]
pub async fn list(
    Viewer(app): Viewer,
    ApiQuery(query): ApiQuery<UsageQuery>,
) -> Result<Json<Page<LedgerBody>>, Problem> {
    let rows = rows(&query)?;
    let days = days(&app, &query)?;
    let listing = format!("usage {rows:?} {} {}", days.from, days.to);
    let after = paging::after(&app, &listing, query.cursor.as_deref()).await?;
    let page = ledger::list(&app, &rows, days, after.as_deref(), query.limit.get()).await?;
    let items = page.items.into_iter().map(body).collect();
    Ok(Json(Page::new(items, paging::seal(&app, &listing, page.next).await?)))
}

/// The rows that a query asks for.
fn rows(query: &UsageQuery) -> Result<Rows, Refusal> {
    let (scope, by) = (query.scope.as_deref().unwrap_or("deployment"), query.by.as_deref().unwrap_or("day"));
    let id = query.id.as_deref();
    let named = || id.ok_or_else(|| Refusal::field("/id", format!("id must name the {scope} of the scope")));
    let at_id = |rule: &str| Refusal::field("/id", format!("id must be {rule}"));
    match (scope, by) {
        ("deployment", _) if id.is_some() => {
            Err(Refusal::field("/id", "id must be left out, because the scope is the deployment"))
        }
        ("deployment", "day") => Ok(Rows::OfDeployment),
        ("deployment", "agent") => Ok(Rows::OfAgents),
        ("deployment", "user") => Ok(Rows::OfUsers),
        ("deployment", "model") => Ok(Rows::OfModels),
        ("agent", "day") => Ok(Rows::OfAgent(AgentKey::parse(named()?).map_err(|e| at_id(e.rule))?)),
        ("user", "day" | "agent") => {
            Ok(Rows::OfUser(ConsumerUserId::parse(named()?).map_err(|e| at_id(e.rule))?))
        }
        ("deployment" | "agent" | "user", _) => {
            let detail = "by must be day; agent also for the scope user; agent, user or model for the scope deployment";
            Err(Refusal::field("/by", detail))
        }
        _ => Err(Refusal::field("/scope", "scope must be one of deployment, agent, user")),
    }
}

/// The days that a query asks for: by default the last thirty.
fn days(app: &App, query: &UsageQuery) -> Result<Days, AppError> {
    let day = |name: &str, text: Option<&str>| {
        let malformed = || Refusal::field(format!("/{name}"), format!("{name} must be a day as YYYY-MM-DD"));
        text.map(|text| Day::parse(text).ok_or_else(malformed)).transpose()
    };
    let recent = ledger::recent_days(app.now());
    let to = day("to", query.to.as_deref())?.unwrap_or(recent.to);
    let from = day("from", query.from.as_deref())?.unwrap_or(recent.from.min(to));
    if from > to {
        return Err(Refusal::field("/from", "from must not be after to").into());
    }
    Ok(Days { from, to })
}

fn body(LedgerRow { day, account, figures }: LedgerRow) -> LedgerBody {
    let (agent, user, model) = match account {
        Account::Deployment => (None, None, None),
        Account::Agent(agent) => (Some(agent), None, None),
        Account::User(user, agent) => (Some(agent), Some(user), None),
        Account::Model(model) => (None, None, Some(model)),
    };
    LedgerBody {
        day: day.to_string(),
        agent_key: agent.map(|agent| agent.to_string()),
        consumer_user_id: user.map(|user| user.to_string()),
        model: model.map(|model| model.to_string()),
        figures: LedgerFigures::from(figures),
    }
}
