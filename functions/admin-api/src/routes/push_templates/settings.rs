//! The settings of a template, from their wire form.

use af_api::push::PushTemplateChange;
use af_api::schedule::ScheduleBody;
use af_app::push::templates::TemplateSettings;
use af_domain::push::Schedule;
use af_domain::refusal::Refusal;

/// Returns the settings. A refusal names the suggested time and its field.
pub fn settings(said: PushTemplateChange) -> Result<TemplateSettings, Refusal> {
    Ok(TemplateSettings {
        title: said.title,
        text: said.text,
        periodicity: said.periodicity.into(),
        suggested: suggested(&said.suggested_times)?,
        enabled: said.enabled.unwrap_or(true),
    })
}

fn suggested(bodies: &[ScheduleBody]) -> Result<Vec<Schedule>, Refusal> {
    let read = |(place, body): (usize, &ScheduleBody)| body.schedule(&format!("/suggestedTimes/{place}"));
    bodies.iter().enumerate().map(read).collect()
}
