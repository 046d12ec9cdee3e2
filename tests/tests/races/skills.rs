//! Concurrent deployments of skills, and lost answers.

use std::sync::{Arc, Mutex};

use af_api::id::Id;
use af_api::skills::{DeployRequest, DeployedFile};
use af_app::skills::{Fetched, delete, deploy, get, manifest, set_status, version, versions};
use af_app::{App, AppError};
use af_domain::ids::{SkillSlug, SkillVersion};
use af_domain::refusal::Code;
use af_domain::skill::bundle::sha256;
use af_domain::skill::{ReleaseChannel, SkillStatus};
use af_emulator_aws::{Fault, Faults, WireRequest};
use futures::future::join_all;

use crate::world::World;

const SKILL_MD: &str = "---\nname: a\ndescription: b\n---\n";

fn slug(text: &str) -> SkillSlug {
    SkillSlug::parse(text).unwrap()
}

fn deployment(name: &str, version: &str, content: &str) -> DeployRequest {
    let file = |path: &str, content: &str| {
        let sha256 = sha256(content.as_bytes()).to_string();
        DeployedFile { path: path.into(), content: content.into(), sha256 }
    };
    DeployRequest {
        slug: Id(slug(name)),
        display_name: None,
        description: None,
        version: Id(SkillVersion::parse(version).unwrap()),
        files: vec![file("SKILL.md", SKILL_MD), file("scripts/index.mjs", content)],
        entry_point: "default".into(),
        module_format: None,
        release_channel: None,
        actor: "ann".into(),
    }
}

fn is_conflict<T>(result: &Result<T, AppError>) -> bool {
    matches!(result, Err(AppError::Refused(refusal)) if refusal.code == Code::Conflict)
}

async fn served(app: &App) -> Vec<(String, String)> {
    let Fetched::Manifest(manifest) = manifest(app, ReleaseChannel::Stable, |_| false).await.unwrap() else {
        panic!("there is no manifest")
    };
    manifest.skills.into_iter().map(|skill| (skill.slug, skill.files[1].content.clone())).collect()
}

#[tokio::test]
async fn of_concurrent_deployments_of_one_version_one_takes_effect_completely() {
    let world = World::new().await;
    let apps: Vec<_> = (0..8).map(|_| world.bundle.app("admin-api")).collect();
    let contents: Vec<_> = (0..8).map(|n| format!("content {n}")).collect();
    let deploys = apps.iter().zip(&contents).map(|(app, c)| deploy(app, deployment("ab", "1.0.0", c)));
    let results = join_all(deploys).await;
    let winners: Vec<_> = (0..8).filter(|n| results[*n].is_ok()).collect();
    assert_eq!(winners.len(), 1, "{results:?}");
    assert!(results.iter().all(|r| r.is_ok() || is_conflict(r)), "{results:?}");
    let content = contents[winners[0]].clone();
    assert_eq!(served(&world.app).await, [("ab".to_owned(), content.clone())]);
    let stored = version(&world.app, &slug("ab"), &SkillVersion::parse("1.0.0").unwrap()).await.unwrap();
    assert_eq!(stored.files[1].content, content);
}

#[tokio::test]
async fn of_two_concurrent_releases_at_the_limit_one_is_refused() {
    let world = World::new().await;
    let large = "x".repeat(200 * 1024 - SKILL_MD.len());
    for n in 0..20 {
        deploy(&world.app, deployment(&format!("s{n:02}"), "1.0.0", &large)).await.unwrap();
    }
    let (one, other) = (world.bundle.app("admin-api"), world.bundle.app("admin-api"));
    let rest = "y".repeat(90 * 1024);
    let (first, second) = tokio::join!(
        deploy(&one, deployment("one", "1.0.0", &rest)),
        deploy(&other, deployment("other", "1.0.0", &rest))
    );
    assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
    assert!(is_conflict(&first) || is_conflict(&second));
    assert_eq!(served(&world.app).await.len(), 21);
}

#[tokio::test]
async fn concurrent_deployments_of_different_skills_all_take_effect() {
    let world = World::new().await;
    let apps: Vec<_> = (0..6).map(|_| world.bundle.app("admin-api")).collect();
    let deploys =
        apps.iter().enumerate().map(|(n, app)| deploy(app, deployment(&format!("s{n}"), "1.0.0", "x")));
    assert!(join_all(deploys).await.iter().all(Result::is_ok));
    assert_eq!(served(&world.app).await.len(), 6);
}

#[tokio::test]
async fn a_concurrent_release_and_status_change_both_take_effect() {
    let world = World::new().await;
    deploy(&world.app, deployment("ab", "1.0.0", "old")).await.unwrap();
    let (one, other, name) = (world.bundle.app("admin-api"), world.bundle.app("admin-api"), slug("ab"));
    let (deployed, disabled) =
        tokio::join!(deploy(&one, deployment("ab", "2.0.0", "new")), set_status(&other, &name, false, "bob"));
    deployed.unwrap();
    disabled.unwrap();
    assert_eq!(served(&world.app).await, [], "the skill is disabled in either order");
    let skill = set_status(&world.app, &slug("ab"), true, "bob").await.unwrap();
    assert_eq!(skill.status, SkillStatus::Active);
    assert_eq!(served(&world.app).await, [("ab".to_owned(), "new".to_owned())]);
}

/// Gives one request of an operation a fault.
struct LoseOne {
    operation: &'static str,
    /// The number of requests of this operation before the fault.
    after: Mutex<Option<u32>>,
    fault: Fault,
}

impl LoseOne {
    fn new(operation: &'static str, after: u32, fault: Fault) -> Arc<Self> {
        Arc::new(Self { operation, after: Mutex::new(Some(after)), fault })
    }
}

impl Faults for LoseOne {
    fn before(&self, request: &WireRequest) -> Fault {
        let mut after = self.after.lock().unwrap();
        if request.operation != self.operation {
            return Fault::None;
        }
        let left = *after;
        *after = left.and_then(|n| n.checked_sub(1));
        if left == Some(0) { self.fault.clone() } else { Fault::None }
    }
}

#[tokio::test]
async fn a_repeated_deployment_gets_the_answer_that_was_lost() {
    let world = World::new().await;
    for (n, fault) in [Fault::LoseResponse, Fault::LoseRequest].into_iter().enumerate() {
        let faulty = world.with_faults(LoseOne::new("TransactWriteItems", 0, fault));
        let (name, content) = (format!("s{n}"), format!("content {n}"));
        let first = deploy(&faulty, deployment(&name, "1.0.0", &content)).await;
        assert!(matches!(first, Err(AppError::Store(_))), "{first:?}");
        let answer = deploy(&world.app, deployment(&name, "1.0.0", &content)).await.unwrap();
        let skill = get(&world.app, &slug(&name)).await.unwrap();
        assert_eq!(answer.release, skill.active[&ReleaseChannel::Stable].clone().into());
        assert_eq!(versions(&world.app, &slug(&name), 10, None).await.unwrap().len(), 1);
    }
    assert_eq!(served(&world.app).await.len(), 2);
}

#[tokio::test]
async fn an_interrupted_deletion_serves_nothing_and_the_next_one_finishes_it() {
    let world = World::new().await;
    let name = slug("ab");
    for n in 0..3 {
        deploy(&world.app, deployment("ab", &format!("1.0.{n}"), &format!("{n}"))).await.unwrap();
    }
    let faulty = world.with_faults(LoseOne::new("DeleteItem", 2, Fault::LoseRequest));
    assert!(matches!(delete(&faulty, &name).await, Err(AppError::Store(_))));
    assert_eq!(get(&world.app, &name).await.unwrap().status, SkillStatus::Deleting);
    assert_eq!(served(&world.app).await, []);
    assert!(!versions(&world.app, &name, 10, None).await.unwrap().is_empty(), "the deletion was interrupted");
    assert!(is_conflict(&deploy(&world.app, deployment("ab", "1.0.0", "new")).await));
    assert!(is_conflict(&set_status(&world.app, &name, true, "bob").await));
    delete(&world.app, &name).await.unwrap();
    assert!(get(&world.app, &name).await.is_err());
    deploy(&world.app, deployment("ab", "1.0.0", "new")).await.unwrap();
    assert_eq!(
        versions(&world.app, &name, 10, None).await.unwrap().len(),
        1,
        "the deleted versions do not reappear"
    );
}
