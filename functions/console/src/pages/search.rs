//! The search for an id: a message, a conversation, a worker or a consumer user.

use af_app::agents::bindings;
use af_app::conversations::{get, read_models};
use af_app::pool::workers;
use af_app::{App, AppError};
use af_domain::agent::conversation_of;
use af_domain::ids::{ConsumerUserId, ConversationId, MessageId, WorkerId};
use axum::extract::Query;
use axum::response::{IntoResponse, Redirect, Response};
use maud::html;
use serde::Deserialize;

use crate::error::PageError;
use crate::request::{Reader, View};
use crate::ui::{Nav, empty, path};

/// What is searched.
#[derive(Debug, Deserialize)]
pub(crate) struct SearchQuery {
    #[serde(default)]
    q: String,
}

/// `GET /console/search?q=`: leads to the first thing with this id.
pub(crate) async fn search(reader: Reader, Query(query): Query<SearchQuery>) -> Result<Response, PageError> {
    let id = query.q.trim();
    if let Some(place) = find(&reader.app, id).await? {
        return Ok(Redirect::to(&place).into_response());
    }
    let live = html! {
        (empty("No message, conversation, worker or bound user has this id."))
        p { "Searched: " code { (id) } }
    };
    let title = "Search".to_owned();
    Ok(reader.answer(&View { title, nav: Nav::Other, above: html! {}, live, version: None }))
}

async fn find(app: &App, id: &str) -> Result<Option<String>, PageError> {
    if let Ok(message) = MessageId::parse(id)
        && exists(read_models::message(app, &message).await)?.is_some()
    {
        return Ok(Some(path(&["messages", id])));
    }
    if let Ok(conversation) = ConversationId::parse(id)
        && exists(get(app, &conversation).await)?.is_some()
    {
        return Ok(Some(path(&["conversations", id])));
    }
    if let Ok(worker) = WorkerId::parse(id)
        && exists(workers::get(app, &worker).await)?.is_some()
    {
        return Ok(Some(format!("/console/workers?id={id}")));
    }
    if let Ok(user) = ConsumerUserId::parse(id)
        && let Some(binding) = exists(bindings::get(app, &user).await)?
    {
        let conversation = conversation_of(&binding.agent, &user)?;
        return Ok(Some(path(&["conversations", conversation.as_str()])));
    }
    Ok(None)
}

/// The thing, if it exists.
fn exists<T>(found: Result<T, AppError>) -> Result<Option<T>, PageError> {
    match found {
        Ok(thing) => Ok(Some(thing)),
        Err(AppError::Refused(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
