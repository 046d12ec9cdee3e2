//! Push templates.

use af_domain::ids::{CompanyId, PushTemplateKey};
use af_domain::push::{Periodicity, PushTemplate, Schedule};

use crate::expression::Update;
use crate::idempotency::IdempotentCall;
use crate::item::{Item, Reader, Writer};
use crate::write::{Commit, queried};
use crate::{Result, Store, keys};

impl Store {
    /// Returns a template, strongly consistent.
    pub async fn push_template(
        &self,
        company: &CompanyId,
        key: &PushTemplateKey,
    ) -> Result<Option<PushTemplate>> {
        self.get(keys::push_template(company, key), true).await?.as_ref().map(template_from).transpose()
    }

    /// Returns one page of the templates of a company ordered by key, starting after `after`.
    pub async fn push_templates(
        &self,
        company: &CompanyId,
        limit: i32,
        after: Option<&str>,
    ) -> Result<Vec<PushTemplate>> {
        let after = after.unwrap_or(" ");
        let values = [(":pk", keys::push_templates_of(company).into()), (":after", after.into())];
        let query = self.query("#pk = :pk AND #sk > :after", values).consistent_read(true).limit(limit);
        queried(query).await?.items().iter().map(template_from).collect()
    }

    /// Stores a new template, with the record of the call `once`. It is stale if the company has one with this key, or if
    /// the call was carried out before.
    pub async fn create_push_template_if_absent(
        &self,
        template: &PushTemplate,
        once: Option<&IdempotentCall>,
    ) -> Result<Commit> {
        let transaction = self.transaction().put_new(template_item(template));
        self.commit_or_stale(transaction.record_call(once, template.key.as_str())).await
    }

    /// Replaces a template. It is stale if it has changed since it was read.
    pub async fn change_push_template_if_unchanged(
        &self,
        before: &PushTemplate,
        after: &PushTemplate,
    ) -> Result<Commit> {
        let unchanged = Update::of(keys::push_template(&before.company, &before.key))
            .when_is("up", before.updated_at)
            .when_is("ub", before.updated_by.as_str());
        self.commit_or_stale(self.transaction().put_when(template_item(after), &unchanged)).await
    }

    /// Deletes a template. Its jobs are kept.
    pub async fn delete_push_template(&self, template: &PushTemplate) -> Result<()> {
        self.delete(&keys::push_template(&template.company, &template.key)).await
    }
}

fn template_item(template: &PushTemplate) -> Item {
    let suggested = template.suggested.iter().map(Schedule::to_string).collect::<Vec<_>>();
    Writer::at(keys::push_template(&template.company, &template.key))
        .put("co", template.company.as_str())
        .put("ti", template.title.as_str())
        .put("tx", template.text.as_str())
        .put("pd", template.periodicity.as_str())
        .put("sg", suggested)
        .put("en", template.enabled)
        .put("at", template.created_at)
        .put("by", template.created_by.as_str())
        .put("up", template.updated_at)
        .put("ub", template.updated_by.as_str())
        .build()
}

fn template_from(item: &Item) -> Result<PushTemplate> {
    let reader = Reader::of(item);
    let schedule = |text: &str| Schedule::parse(text).ok_or_else(|| reader.malformed("sg", "not a schedule"));
    Ok(PushTemplate {
        company: reader.id("co", CompanyId::parse)?,
        key: reader.id("sk", PushTemplateKey::parse)?,
        title: reader.text("ti")?.to_owned(),
        text: reader.text("tx")?.to_owned(),
        periodicity: Periodicity::parse(reader.text("pd")?)
            .ok_or_else(|| reader.malformed("pd", "not a periodicity"))?,
        suggested: reader.texts("sg")?.into_iter().map(schedule).collect::<Result<_>>()?,
        enabled: reader.flag("en"),
        created_by: reader.text("by")?.to_owned(),
        updated_by: reader.text("ub")?.to_owned(),
        created_at: reader.time("at")?,
        updated_at: reader.time("up")?,
    })
}
