//! Push templates: create, change, list and delete.

use af_domain::ids::{CompanyId, PushTemplateKey};
use af_domain::push::{Periodicity, PushTemplate, Schedule};
use af_domain::refusal::{Code, Refusal};
use af_store::conversation::Commit;
use af_store::idempotency::IdempotentCall;

use super::MAX_TRIES;
use crate::intake::idempotency;
use crate::{App, AppError, Result};

/// The requested settings of a template.
#[derive(Debug, Clone)]
pub struct TemplateSettings {
    /// The title of its jobs.
    pub title: String,
    /// The text of its jobs.
    pub text: String,
    /// How often its jobs run.
    pub periodicity: Periodicity,
    /// Schedules to choose from.
    pub suggested: Vec<Schedule>,
    /// Whether new jobs can be made from it.
    pub enabled: bool,
}

/// Creates a template. With `once`, a repetition of the same call gets the same template.
///
/// # Errors
/// Returns 404 if the template that the call made is deleted, 409 if the company has a template with this key, and 422 with
/// the invalid field, or if the idempotency key was used with another request.
pub async fn create(
    app: &App,
    company: CompanyId,
    key: PushTemplateKey,
    settings: TemplateSettings,
    by: &str,
    once: Option<&IdempotentCall>,
) -> Result<PushTemplate> {
    let now = app.now();
    let template = PushTemplate {
        company,
        key,
        title: settings.title,
        text: settings.text,
        periodicity: settings.periodicity,
        suggested: settings.suggested,
        enabled: settings.enabled,
        created_by: by.to_owned(),
        updated_by: by.to_owned(),
        created_at: now,
        updated_at: now,
    };
    template.check()?;
    if idempotency::find_record(app, once).await?.is_some() {
        return get(app, &template.company, &template.key).await;
    }
    match app.store.create_push_template_if_absent(&template, once).await? {
        Commit::Done => Ok(template),
        Commit::Stale => {
            // The same call may have been sent twice at the same time.
            if idempotency::find_record(app, once).await?.is_some() {
                return get(app, &template.company, &template.key).await;
            }
            let detail = format!(
                "company {} has a push template {}; change it with PUT or use another templateKey",
                template.company, template.key
            );
            let refusal = Refusal::new(Code::AlreadyExists, detail);
            Err(Refusal { pointer: Some("/templateKey".to_owned()), ..refusal }.into())
        }
    }
}

/// Replaces the settings of a template. Jobs that were made from it do not change.
///
/// # Errors
/// Returns 404 if there is none, and 422 with the invalid field.
pub async fn change(
    app: &App,
    company: &CompanyId,
    key: &PushTemplateKey,
    settings: TemplateSettings,
    by: &str,
) -> Result<PushTemplate> {
    for _ in 0..MAX_TRIES {
        let before = get(app, company, key).await?;
        let after = PushTemplate {
            title: settings.title.clone(),
            text: settings.text.clone(),
            periodicity: settings.periodicity,
            suggested: settings.suggested.clone(),
            enabled: settings.enabled,
            updated_by: by.to_owned(),
            updated_at: app.now(),
            ..before.clone()
        };
        after.check()?;
        if let Commit::Done = app.store.change_push_template_if_unchanged(&before, &after).await? {
            return Ok(after);
        }
    }
    Err(AppError::Overtaken("changing a push template"))
}

/// Returns a template, or 404 if there is none.
pub async fn get(app: &App, company: &CompanyId, key: &PushTemplateKey) -> Result<PushTemplate> {
    let found = app.store.push_template(company, key).await?;
    Ok(found.ok_or_else(|| Refusal::not_found(format!("push template {key} of company {company}")))?)
}

/// Returns one page of the templates of a company ordered by key.
pub async fn list(
    app: &App,
    company: &CompanyId,
    limit: u32,
    after: Option<&str>,
) -> Result<Vec<PushTemplate>> {
    Ok(app.store.push_templates(company, i32::try_from(limit).unwrap_or(i32::MAX), after).await?)
}

/// Deletes a template, or returns 404 if there is none. Jobs that were made from it are kept.
pub async fn delete(app: &App, company: &CompanyId, key: &PushTemplateKey) -> Result<()> {
    let template = get(app, company, key).await?;
    Ok(app.store.delete_push_template(&template).await?)
}
