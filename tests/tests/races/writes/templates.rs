//! Writes of message templates.

use af_app::App;
use af_domain::template::{MessageTemplate, TemplateContent};

use crate::world::World;

fn template(app: &App) -> MessageTemplate {
    let content = TemplateContent::new("Good morning", "hello".to_owned(), &[]).unwrap();
    let (created_at, updated_at) = (app.now(), app.now());
    MessageTemplate { key: content.key().unwrap(), content, used: 0, created_at, updated_at }
}

async fn made(world: &World) -> MessageTemplate {
    let template = template(&world.app);
    world.app.store.make_template_if_absent(&template, None).await.unwrap();
    template
}

pub async fn make_template_if_absent(_world: &World, app: &App, times: usize) -> Vec<String> {
    let template = template(app);
    send!(times, app.store.make_template_if_absent(&template, None))
}

pub async fn change_template_if_present(world: &World, app: &App, times: usize) -> Vec<String> {
    let template = made(world).await;
    let content = TemplateContent::new("Good evening", "bye".to_owned(), &["b".to_owned()]).unwrap();
    send!(times, app.store.change_template_if_present(&template.key, &content, app.now()))
}

pub async fn delete_template_if_present(world: &World, app: &App, times: usize) -> Vec<String> {
    let template = made(world).await;
    send!(times, app.store.delete_template_if_present(&template.key))
}
