//! Message templates, in one partition with their number.

use af_domain::ids::TemplateKey;
use af_domain::template::{MAX_TEMPLATES, MessageTemplate, TemplateContent};
use af_domain::time::Timestamp;

use crate::expression::Update;
use crate::idempotency::IdempotentCall;
use crate::item::{Item, Reader, Writer};
use crate::write::{Commit, Committed, Updated, queried};
use crate::{Result, Store, keys};

/// Pages of 1 MB that are read to list all templates. The largest possible templates take eight.
const MAX_PAGES: usize = 10;

/// The result of making a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplateMade {
    /// The template is made.
    Done,
    /// There is a template with this key.
    Exists,
    /// The same call has made a template before.
    Repeated,
    /// There are as many templates as allowed.
    Full,
}

impl Store {
    /// Returns a template, strongly consistent.
    pub async fn template(&self, key: &TemplateKey) -> Result<Option<MessageTemplate>> {
        self.get(keys::template(key), true).await?.as_ref().map(template_from).transpose()
    }

    /// Returns all templates, by key, eventually consistent.
    pub async fn templates(&self) -> Result<Vec<MessageTemplate>> {
        let (mut found, mut start) = (Vec::new(), None);
        for _ in 0..MAX_PAGES {
            let values = [(":pk", keys::TEMPLATES.into()), (":count", keys::ONLY.into())];
            let query = self.query("#pk = :pk AND #sk > :count", values);
            let page = queried(query.set_exclusive_start_key(start)).await?;
            for item in page.items() {
                found.push(template_from(item)?);
            }
            start = page.last_evaluated_key;
            if start.is_none() {
                break;
            }
        }
        Ok(found)
    }

    /// Stores a new template and counts it. With `once`, the call is recorded.
    pub async fn make_template_if_absent(
        &self,
        template: &MessageTemplate,
        once: Option<&IdempotentCall>,
    ) -> Result<TemplateMade> {
        let item = template_item(template);
        let counted = Update::of(keys::template_count())
            .set_to("n", "if_not_exists(#n, :none) + :one")
            .when("attribute_not_exists(#n) OR #n < :max")
            .bind(":none", 0_u64)
            .bind(":one", 1_u64)
            .bind(":max", MAX_TEMPLATES);
        let transaction = self.transaction().put_new(item.clone()).update(counted);
        let committed = self.commit(transaction.record_call(once, template.key.as_str())).await?;
        Ok(match &committed {
            Committed::Done => TemplateMade::Done,
            Committed::Refused(_) if committed.failed_condition(2).is_some() => TemplateMade::Repeated,
            // An earlier attempt of this call has made it.
            Committed::Refused(_) if committed.old_item(0) == Some(&item) => TemplateMade::Done,
            Committed::Refused(_) if committed.failed_condition(0).is_some() => TemplateMade::Exists,
            Committed::Refused(_) => TemplateMade::Full,
        })
    }

    /// Changes the content of a template. Returns `None` if there is none.
    pub async fn change_template_if_present(
        &self,
        key: &TemplateKey,
        content: &TemplateContent,
        now: Timestamp,
    ) -> Result<Option<MessageTemplate>> {
        let update = Update::of(keys::template(key))
            .set("ti", content.title.as_str())
            .set("tx", content.content.as_str())
            .set("tg", content.tags.clone())
            .set("up", now)
            .when("attribute_exists(#pk)");
        match self.update(update).await? {
            Updated::Done(item) => template_from(&item).map(Some),
            Updated::Refused(_) => Ok(None),
        }
    }

    /// Deletes a template and counts one less. It is stale if there is none.
    pub async fn delete_template_if_present(&self, key: &TemplateKey) -> Result<Commit> {
        let template = Update::of(keys::template(key)).when("attribute_exists(#pk)");
        let counted = Update::of(keys::template_count()).set_to("n", "#n - :one").bind(":one", 1_u64);
        self.commit_or_stale(self.transaction().delete_when(&template).update(counted)).await
    }
}

/// Counts a use of a template, on condition that it exists.
pub(crate) fn template_used(key: &TemplateKey) -> Update {
    Update::of(keys::template(key))
        .set_to("us", "#us + :one")
        .bind(":one", 1_u64)
        .when("attribute_exists(#pk)")
}

fn template_item(template: &MessageTemplate) -> Item {
    let MessageTemplate { key, content, used, created_at, updated_at } = template;
    Writer::at(keys::template(key))
        .put("ti", content.title.as_str())
        .put("tx", content.content.as_str())
        .put("tg", content.tags.clone())
        .put("us", *used)
        .put("at", *created_at)
        .put("up", *updated_at)
        .build()
}

fn template_from(item: &Item) -> Result<MessageTemplate> {
    let reader = Reader::of(item);
    Ok(MessageTemplate {
        key: reader.id("sk", TemplateKey::parse)?,
        content: TemplateContent {
            title: reader.text("ti")?.to_owned(),
            content: reader.text("tx")?.to_owned(),
            tags: reader.texts("tg")?.into_iter().map(str::to_owned).collect(),
        },
        used: reader.number("us")?,
        created_at: reader.time("at")?,
        updated_at: reader.time("up")?,
    })
}
