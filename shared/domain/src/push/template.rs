//! Push templates: prepared texts of a company, from which push jobs are made.

use super::check_words;
use super::schedule::{Periodicity, Schedule};
use crate::ids::{CompanyId, PushTemplateId, PushTemplateKey};
use crate::refusal::Refusal;
use crate::time::Timestamp;

/// Most suggested times of a template. A form shows them all.
pub const MAX_SUGGESTED_TIMES: usize = 20;

/// A push template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushTemplate {
    /// The company that owns it.
    pub company: CompanyId,
    /// Its key, unique within the company.
    pub key: PushTemplateKey,
    /// The title of its jobs.
    pub title: String,
    /// The text of its jobs.
    pub text: String,
    /// How often its jobs run.
    pub periodicity: Periodicity,
    /// Schedules to choose from. The first one is the default.
    pub suggested: Vec<Schedule>,
    /// Whether new jobs can be made from it. Jobs that exist are not affected.
    pub enabled: bool,
    /// The caller that made it.
    pub created_by: String,
    /// The caller that changed it last.
    pub updated_by: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl PushTemplate {
    /// The id, which contains the company.
    pub fn id(&self) -> PushTemplateId {
        PushTemplateId::of(&self.company, &self.key)
    }

    /// Checks the texts and the suggested times. A refusal names the field.
    pub fn check(&self) -> Result<(), Refusal> {
        check_words(&self.title, &self.text)?;
        let periodicity = self.periodicity.as_str();
        if self.suggested.len() > MAX_SUGGESTED_TIMES {
            let detail = format!("suggestedTimes has at most {MAX_SUGGESTED_TIMES} entries");
            return Err(Refusal::field("/suggestedTimes", detail));
        }
        if self.periodicity == Periodicity::Manual && !self.suggested.is_empty() {
            let detail = "a manual template has no suggestedTimes; remove them or change periodicity";
            return Err(Refusal::field("/suggestedTimes", detail));
        }
        for (place, suggested) in self.suggested.iter().enumerate() {
            let kind = suggested.periodicity();
            if kind != self.periodicity {
                let detail = format!("kind is {}, but periodicity is {periodicity}", kind.as_str());
                return Err(Refusal::field(format!("/suggestedTimes/{place}/kind"), detail));
            }
        }
        Ok(())
    }
}
