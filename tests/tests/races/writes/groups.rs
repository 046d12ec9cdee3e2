//! Writes of the groups of Telegram.

use af_app::App;
use af_app::outbox::notice;
use af_domain::ids::BotIdentity;
use af_domain::outbox::Chat;
use af_domain::time::Millis;
use af_store::conversation_key;

use af_store::group::GroupLine;

use super::conversation;
use crate::world::World;

fn line() -> GroupLine {
    GroupLine { message: 1, text: "Ann: hi".to_owned() }
}

pub async fn notify_if_not_lately(_: &World, app: &App, times: usize) -> Vec<String> {
    let notice = notice(app, Chat::parse("7:555").unwrap(), None, None, "Please wait.");
    let pause = Millis::from_secs(60);
    send!(times, app.store.notify_if_not_lately(&notice, "rate_limited", pause, app.now()))
}

pub async fn continue_chat_if_new(_: &World, app: &App, times: usize) -> Vec<String> {
    let bot = BotIdentity::parse("7").unwrap();
    send!(times, app.store.continue_chat_if_new(&bot, -5, &conversation()))
}

pub async fn add_line_if_new(_: &World, app: &App, times: usize) -> Vec<String> {
    let key = conversation_key(&conversation());
    send!(times, app.store.add_line_if_new(&key, &line(), app.now()))
}

pub async fn clear_lines_if_unchanged(world: &World, app: &App, times: usize) -> Vec<String> {
    let key = conversation_key(&conversation());
    world.app.store.add_line_if_new(&key, &line(), app.now()).await.unwrap();
    send!(times, app.store.clear_lines_if_unchanged(&key, &[line()]))
}
