//! Message templates: make, list, change and delete.

use af_domain::ids::TemplateKey;
use af_domain::refusal::{Code, Refusal};
use af_domain::template::{MAX_TEMPLATES, MessageTemplate, TemplateContent, sort_by_use};
use af_store::Page;
use af_store::conversation::Commit;
use af_store::idempotency::IdempotentCall;
use af_store::template::TemplateMade;

use crate::intake::idempotency;
use crate::{App, AppError, Result};

/// Makes a template, whose key follows from its title. With `once`, a repetition of the same call gets the same template.
///
/// # Errors
/// Returns 409 if another template has the key, or if there are as many templates as allowed, and 422 with the invalid field.
pub async fn make(
    app: &App,
    content: TemplateContent,
    once: Option<&IdempotentCall>,
) -> Result<MessageTemplate> {
    let key = content.key()?;
    if let Some(made) = idempotency::find_record(app, once).await? {
        return get(app, &TemplateKey::parse(made.id)?).await;
    }
    let now = app.now();
    let template = MessageTemplate { key, content, used: 0, created_at: now, updated_at: now };
    match app.store.make_template_if_absent(&template, once).await? {
        TemplateMade::Done => Ok(template),
        TemplateMade::Exists => {
            let detail = format!("there is a template {} already; give another title", template.key);
            Err(Refusal { pointer: Some("/title".to_owned()), ..Refusal::new(Code::AlreadyExists, detail) }
                .into())
        }
        TemplateMade::Full => {
            let detail = format!("there are {MAX_TEMPLATES} templates; delete one that is not used");
            Err(Refusal::new(Code::Conflict, detail).into())
        }
        // The same call was sent twice at the same time.
        TemplateMade::Repeated => match idempotency::find_record(app, once).await? {
            Some(made) => get(app, &TemplateKey::parse(made.id)?).await,
            None => Err(AppError::Overtaken("making a template")),
        },
    }
}

/// Returns a template, or 404 if there is none.
pub async fn get(app: &App, key: &TemplateKey) -> Result<MessageTemplate> {
    Ok(app.store.template(key).await?.ok_or_else(|| missing(key))?)
}

/// Returns one page of templates, the most used first. The cursor is the number of uses and the key of the last one.
pub async fn list(app: &App, limit: u32, after: Option<&Place>) -> Result<Page<MessageTemplate, String>> {
    let mut templates = app.store.templates().await?;
    sort_by_use(&mut templates);
    if let Some(Place { used, key }) = after {
        templates.retain(|t| t.used < *used || (t.used == *used && t.key > *key));
    }
    let more = templates.len() > limit as usize;
    templates.truncate(limit as usize);
    let next = templates.last().filter(|_| more).map(|last| format!("{};{}", last.used, last.key));
    Ok(Page { items: templates, next })
}

/// A position in the list of templates.
#[derive(Debug, Clone)]
pub struct Place {
    used: u64,
    key: TemplateKey,
}

impl Place {
    /// Parses a position.
    pub fn read(text: &str) -> Option<Self> {
        let (used, key) = text.split_once(';')?;
        Some(Self { used: used.parse().ok()?, key: TemplateKey::parse(key).ok()? })
    }
}

/// Changes the content of a template; its key stays. Returns 404 if there is none.
pub async fn change(app: &App, key: &TemplateKey, content: &TemplateContent) -> Result<MessageTemplate> {
    let changed = app.store.change_template_if_present(key, content, app.now()).await?;
    Ok(changed.ok_or_else(|| missing(key))?)
}

/// Deletes a template. Messages that were sent with it stay. Returns 404 if there is none.
pub async fn delete(app: &App, key: &TemplateKey) -> Result<()> {
    match app.store.delete_template_if_present(key).await? {
        Commit::Done => Ok(()),
        Commit::Stale => Err(missing(key).into()),
    }
}

pub(super) fn missing(key: &TemplateKey) -> Refusal {
    Refusal::not_found(format!("message template {key}"))
}
