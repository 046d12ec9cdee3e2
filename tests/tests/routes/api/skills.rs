use af_domain::time::Millis;
use af_tests::bundle::START;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::api::World;

const MANIFEST: &str = "/v1/worker/skills";

const SKILL_MD: &str = "---\nname: skill\ndescription: Helps.\n---\n# Skill\n";

/// SHA-256 in hex, computed without the code under test.
fn sha256(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn file(path: &str, content: &str) -> Value {
    json!({"path": path, "content": content, "sha256": sha256(content)})
}

fn files(script: &str) -> Vec<Value> {
    vec![file("scripts/index.mjs", script), file("SKILL.md", SKILL_MD)]
}

/// A skill file of this size.
fn padded(with: &str, bytes: usize) -> String {
    SKILL_MD.to_owned() + &with.repeat(bytes - SKILL_MD.len())
}

fn skill(slug: &str, version: &str, script: &str) -> Value {
    json!({"slug": slug, "version": version, "files": files(script), "actor": "ann"})
}

/// `body` with other values in these fields.
fn with(mut body: Value, changes: &[(&str, Value)]) -> Value {
    for (field, value) in changes {
        body[*field] = value.clone();
    }
    body
}

/// The expected hash of a bundle, from the files of the manifest.
fn bundle_of(files: &[Value]) -> String {
    let mut files: Vec<[&str; 3]> =
        files.iter().map(|f| ["path", "sha256", "content"].map(|part| f[part].as_str().unwrap())).collect();
    files.sort();
    sha256(&files.iter().map(|f| f.join("\n")).collect::<Vec<_>>().join("\n---\n"))
}

impl World {
    async fn deploy(&self, body: Value) -> Value {
        self.api.post("/v1/skills", body).send().await.body_of(201)
    }

    async fn activate(&self, slug: &str, body: Value) -> Value {
        self.api.post(&format!("/v1/skills/{slug}/activate"), body).send().await.body_of(200)
    }

    async fn status(&self, slug: &str, status: &str) -> Value {
        let path = format!("/v1/skills/{slug}/status");
        self.api.put(&path, json!({"status": status, "actor": "bob"})).send().await.body_of(200)
    }

    /// The skills that a worker of the channel gets: `slug version`.
    async fn served(&self, token: &str, channel: &str) -> Vec<String> {
        let path = format!("{MANIFEST}?releaseChannel={channel}");
        let manifest = self.api.get(&path).key(token).send().await.body_of(200);
        let skill = |s: &Value| format!("{} {}", s["slug"].as_str().unwrap(), s["version"].as_str().unwrap());
        manifest["skills"].as_array().unwrap().iter().map(skill).collect()
    }
}

#[tokio::test]
async fn a_manifest_is_complete_and_each_of_its_hashes_is_correct() {
    let world = World::new().await;
    let token = world.worker("w-1").await;
    let text = "ü\n\"quoted\" \\ \u{1}";
    let mut given = files("export default 1;\n");
    given.push(file("data/ü.txt", text));
    world.deploy(with(skill("web-search", "1.0.0", ""), &[("files", json!(given))])).await;
    world.deploy(skill("ab", "2.0.0-rc.1", "x")).await;
    let answer = world.api.get(MANIFEST).key(&token).send().await;
    let etag = answer.headers["etag"].to_str().unwrap().to_owned();
    let manifest = answer.body_of(200);
    assert_eq!(manifest["layoutVersion"], "openclaw-workspace-skill-v1");
    let whose = (&manifest["releaseChannel"], &manifest["workspaceId"], &manifest["generatedAt"]);
    assert_eq!(whose, (&json!("stable"), &json!("default"), &json!(START.as_millis())));
    assert_eq!(etag, format!("W/\"{}\"", manifest["manifestVersion"].as_str().unwrap()));
    assert_eq!(manifest["skills"][0]["slug"], "ab");
    let skill = &manifest["skills"][1];
    let own = json!({"slug": "web-search", "version": "1.0.0", "moduleFormat": "esm", "entryPoint": "default",
        "skillDirName": "web-search", "sha256": bundle_of(&given), "files": skill["files"]});
    assert_eq!(*skill, own);
    let files = skill["files"].as_array().unwrap();
    let paths: Vec<_> = files.iter().map(|f| f["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["SKILL.md", "data/ü.txt", "scripts/index.mjs", ".af-global-skill.json"]);
    for file in files {
        assert_eq!(file["sha256"], sha256(file["content"].as_str().unwrap()), "{}", file["path"]);
    }
    assert_eq!(files[1]["content"], text);
    let marker: Value = serde_json::from_str(files[3]["content"].as_str().unwrap()).unwrap();
    let expected = json!({"slug": "web-search", "version": "1.0.0", "sha256": bundle_of(&given),
        "managedBy": "agent-factory", "entryPoint": "default", "moduleFormat": "esm"});
    assert_eq!(marker, expected);
}

#[tokio::test]
async fn an_unchanged_manifest_is_not_sent_again() {
    let world = World::new().await;
    let token = world.worker("w-1").await;
    let get = |etag: &str| world.api.get(MANIFEST).key(&token).header("if-none-match", etag).send();
    let empty = get("\"x\"").await;
    assert_eq!((empty.status.as_u16(), &empty.body["skills"]), (200, &json!([])));
    world.deploy(skill("ab", "1.0.0", "one")).await;
    let first = get(empty.headers["etag"].to_str().unwrap()).await;
    assert_eq!(first.status.as_u16(), 200, "a deployment changes the entity tag");
    let etag = first.headers["etag"].to_str().unwrap();
    for known in [etag, &etag[2..], "*", &format!("\"x\", {etag}")] {
        let again = get(known).await;
        assert_eq!(
            (again.status.as_u16(), &again.body, &again.headers["etag"]),
            (304, &Value::Null, &first.headers["etag"])
        );
    }
    world.bundle.clock.advance(Millis::from_secs(9));
    world.deploy(skill("ab", "1.0.0", "one")).await;
    assert_eq!(get(etag).await.status.as_u16(), 304, "nothing has changed");
    world.deploy(skill("ab", "1.0.1", "two")).await;
    assert_eq!(get(etag).await.status.as_u16(), 200);
    world.activate("ab", json!({"version": "1.0.0", "actor": "ann"})).await;
    assert_eq!(get(etag).await.status.as_u16(), 304, "the same skills are the same manifest");
}

#[tokio::test]
async fn the_manifest_needs_a_worker_token() {
    let world = World::new().await;
    assert_eq!(
        world.api.get(MANIFEST).send().await.problem(),
        (401, "unauthorized"),
        "an admin key is not a worker token"
    );
    let token = world.worker("w-1").await;
    let odd = world.api.get("/v1/worker/skills?releaseChannel=beta").key(&token).send().await;
    assert_eq!((odd.problem(), odd.pointer()), ((422, "invalid_field"), "/releaseChannel"));
    assert!(odd.detail().contains("stable or canary"), "{}", odd.detail());
    world.bundle.clock.advance(Millis::from_secs(61));
    world.served(&token, "stable").await;
    let seen = world.api.get("/v1/workers/w-1").send().await.body_of(200);
    assert_eq!(seen["heartbeatAt"], START.as_millis() + 61_000, "the call is a sign of life");
}

#[tokio::test]
async fn an_invalid_skill_is_refused_with_its_field() {
    let world = World::new().await;
    let at = |path: &str| json!([file(path, "x"), file("SKILL.md", SKILL_MD), file("scripts/index.mjs", "")]);
    let changed = |field: &str, value: Value| with(skill("ab", "1.0.0", "x"), &[(field, value)]);
    let mut wrong = files("x");
    wrong[1]["sha256"] = json!(sha256("y"));
    let mut unknown = files("x");
    unknown[0]["mode"] = json!(7);
    let large = vec![file("SKILL.md", &padded("x", 200 * 1024)), file("scripts/index.mjs", "x")];
    for (body, pointer, words) in [
        (changed("slug", json!("Ab")), "/slug", "a-z"),
        (changed("slug", json!("a")), "/slug", "2 to 128"),
        (changed("version", json!("1.0")), "/version", "semantic version"),
        (changed("files", at("../x")), "/files/0/path", "'..'"),
        (changed("files", at("/x")), "/files/0/path", "relative"),
        (changed("files", at("a\\b")), "/files/0/path", "'\\'"),
        (changed("files", at("a\u{0}")), "/files/0/path", "control"),
        (changed("files", at("skill.md")), "/files/1/path", "lower case"),
        (changed("files", at("scripts")), "/files/2/path", "is a file"),
        (changed("files", at(".af-global-skill.json")), "/files/0/path", "reserved"),
        (changed("files", json!(wrong)), "/files/1/sha256", "content"),
        (changed("files", json!(unknown)), "/files/0/mode", "no field"),
        (changed("files", json!([file("scripts/index.mjs", "")])), "/files", "SKILL.md is needed"),
        (changed("files", json!([file("SKILL.md", SKILL_MD)])), "/files", "scripts/index.mjs is needed"),
        (
            changed("files", json!([file("scripts/index.mjs", ""), file("SKILL.md", "# A")])),
            "/files/1/content",
            "description: <purpose>",
        ),
        (changed("moduleFormat", json!("cjs")), "/files", "scripts/index.cjs is needed"),
        (changed("moduleFormat", json!("umd")), "/moduleFormat", "esm or cjs"),
        (changed("releaseChannel", json!("beta")), "/releaseChannel", "stable or canary"),
        (changed("actor", json!(" ")), "/actor", "1 to 100"),
        (changed("entryPoint", json!("a\nb")), "/entryPoint", "1 to 100"),
        (changed("displayName", json!("x".repeat(201))), "/displayName", "1 to 200"),
        (changed("description", json!("x".repeat(2_001))), "/description", "2000"),
        (changed("colour", json!(1)), "/colour", "no field"),
    ] {
        let answer = world.refused(world.api.post("/v1/skills", body)).await;
        assert_eq!((answer.problem(), answer.pointer()), ((422, "invalid_field"), pointer));
        assert!(answer.detail().contains(words), "{pointer}: {}", answer.detail());
    }
    let answer = world.refused(world.api.post("/v1/skills", changed("files", json!(large)))).await;
    assert_eq!((answer.problem(), answer.pointer()), ((413, "payload_too_large"), "/files"));
    assert!(answer.detail().contains("204801 bytes"), "{}", answer.detail());
}

#[tokio::test]
async fn a_deployed_version_never_changes() {
    let world = World::new().await;
    let first = world.deploy(skill("ab", "1.0.0", "one")).await;
    let expected = json!({"slug": "ab", "status": "active", "releaseChannel": "stable", "version": "1.0.0",
        "sha256": bundle_of(&files("one")), "sizeBytes": 3 + SKILL_MD.len(), "moduleFormat": "esm", "entryPoint": "default",
        "releasedAt": START.as_millis(), "releasedBy": "ann"});
    assert_eq!(first, expected);
    world.bundle.clock.advance(Millis::from_secs(5));
    let items = world.items().await;
    let again = with(skill("ab", "1.0.0", "one"), &[("actor", json!("bob"))]);
    assert_eq!(world.deploy(again).await, first, "a repetition gets the same response");
    assert_eq!(world.items().await, items, "a repetition writes nothing");
    let mut moved = skill("ab", "1.0.0", "one");
    moved["entryPoint"] = json!("run");
    for other in [skill("ab", "1.0.0", "two"), moved] {
        let answer = world.refused(world.api.post("/v1/skills", other)).await;
        assert_eq!(answer.problem(), (409, "conflict"));
        assert!(answer.detail().contains("as another version"), "{}", answer.detail());
    }
    let named = with(skill("ab", "1.0.0", "one"), &[("displayName", json!("A B"))]);
    assert_eq!(world.deploy(named).await, first);
    let shown = world.api.get("/v1/skills/ab").send().await.body_of(200);
    assert_eq!((&shown["displayName"], &shown["description"]), (&json!("A B"), &json!("Helps.")));
}

#[tokio::test]
async fn channels_are_independent_and_a_release_can_be_rolled_back() {
    let world = World::new().await;
    let token = world.worker("w-1").await;
    world.deploy(skill("ab", "1.0.0", "one")).await;
    world.deploy(with(skill("ab", "2.0.0", "two"), &[("releaseChannel", json!("canary"))])).await;
    assert_eq!(world.served(&token, "stable").await, ["ab 1.0.0"]);
    assert_eq!(world.served(&token, "canary").await, ["ab 2.0.0"]);
    world.activate("ab", json!({"version": "2.0.0", "actor": "bob"})).await;
    assert_eq!(world.served(&token, "stable").await, ["ab 2.0.0"], "promoted");
    let shown = world.activate("ab", json!({"version": "1.0.0", "actor": "eve"})).await;
    assert_eq!(world.served(&token, "stable").await, ["ab 1.0.0"], "rolled back");
    assert_eq!(world.served(&token, "canary").await, ["ab 2.0.0"]);
    assert_eq!(shown["activeReleases"]["stable"]["releasedBy"], "eve");
    let versions = world.api.get("/v1/skills/ab/versions").send().await.body_of(200);
    let release = |version: usize, channel: &str| &versions["items"][version]["releases"][channel];
    assert_eq!(
        (&release(0, "stable")["active"], &release(1, "stable")["active"]),
        (&json!(true), &json!(false))
    );
    assert_eq!((release(0, "canary"), &release(1, "canary")["active"]), (&json!(null), &json!(true)));
    assert_eq!(release(1, "stable")["releasedBy"], "bob");
    for (path, body, problem) in [
        ("/v1/skills/ab/activate", json!({"version": "3.0.0", "actor": "a"}), (404, "not_found")),
        ("/v1/skills/cd/activate", json!({"version": "1.0.0", "actor": "a"}), (404, "not_found")),
        ("/v1/skills/ab/activate", json!({"version": "one", "actor": "a"}), (422, "invalid_field")),
        ("/v1/skills/ab/activate", json!({"version": "1.0.0"}), (422, "invalid_field")),
    ] {
        assert_eq!(world.refused(world.api.post(path, body)).await.problem(), problem);
    }
}

#[tokio::test]
async fn a_disabled_skill_is_not_served_and_keeps_its_releases() {
    let world = World::new().await;
    let token = world.worker("w-1").await;
    world.deploy(skill("ab", "1.0.0", "one")).await;
    world.deploy(with(skill("ab", "2.0.0", "two"), &[("releaseChannel", json!("canary"))])).await;
    let disabled = world.status("ab", "disabled").await;
    assert_eq!((&disabled["status"], &disabled["updatedBy"]), (&json!("disabled"), &json!("bob")));
    assert!(
        world.served(&token, "stable").await.is_empty() && world.served(&token, "canary").await.is_empty()
    );
    assert_eq!(world.deploy(skill("ab", "1.1.0", "new")).await["status"], "disabled");
    assert!(world.served(&token, "stable").await.is_empty(), "a release does not enable it");
    world.status("ab", "active").await;
    assert_eq!(world.served(&token, "stable").await, ["ab 1.1.0"]);
    assert_eq!(world.served(&token, "canary").await, ["ab 2.0.0"]);
    let odd = json!({"status": "deleting", "actor": "bob"});
    let answer = world.refused(world.api.put("/v1/skills/ab/status", odd)).await;
    assert_eq!((answer.problem(), answer.pointer()), ((422, "invalid_field"), "/status"));
    let unknown = world.api.put("/v1/skills/cd/status", json!({"status": "active", "actor": "bob"}));
    assert_eq!(world.refused(unknown).await.problem(), (404, "not_found"));
}

#[tokio::test]
pub async fn a_deleted_skill_leaves_no_items_and_its_versions_can_be_deployed_again() {
    let world = World::new().await;
    let token = world.worker("w-1").await;
    world.served(&token, "stable").await;
    world.deploy(skill("cd", "1.0.0", "other")).await;
    for version in 0..25 {
        world.deploy(skill("ab", &format!("1.0.{version}"), &format!("{version}"))).await;
    }
    let path = "/v1/skills/ab";
    world.api.delete(path).send().await.body_of(204);
    assert_eq!(world.served(&token, "stable").await, ["cd 1.0.0"]);
    assert!(!world.items().await.iter().any(|i| i["pk"]["S"] == "S#ab" || i["sk"]["S"] == "ab"));
    for gone in [path, "/v1/skills/ab/versions", "/v1/skills/ab/versions/1.0.1"] {
        assert_eq!(world.api.get(gone).send().await.problem(), (404, "not_found"), "{gone}");
    }
    assert_eq!(world.refused(world.api.delete(path)).await.problem(), (404, "not_found"));
    world.deploy(skill("ab", "1.0.1", "something else")).await;
    assert_eq!(world.served(&token, "stable").await, ["ab 1.0.1", "cd 1.0.0"]);
}

#[tokio::test]
async fn skills_and_versions_are_listed_page_by_page_and_shown() {
    let world = World::new().await;
    for (slug, version) in [("ab", "1.0.0"), ("ab", "1.0.0-rc.1"), ("ab", "1.1.0"), ("ab-c", "1.0.0")] {
        world.deploy(skill(slug, version, version)).await;
    }
    let first = world.api.get("/v1/skills?limit=1").send().await.body_of(200);
    assert_eq!(crate::api::each(&first, "slug"), ["ab"]);
    let path = format!("/v1/skills?limit=1&cursor={}", first["nextCursor"].as_str().unwrap());
    let second = world.api.get(&path).send().await.body_of(200);
    assert_eq!((crate::api::each(&second, "slug"), &second["nextCursor"]), (vec!["ab-c"], &json!(null)));
    let (mut path, mut seen) = ("/v1/skills/ab/versions?limit=1".to_owned(), Vec::new());
    loop {
        let page = world.api.get(&path).send().await.body_of(200);
        seen.extend(crate::api::each(&page, "version").into_iter().map(str::to_owned));
        let Some(cursor) = page["nextCursor"].as_str() else { break };
        path = format!("/v1/skills/ab/versions?limit=1&cursor={cursor}");
    }
    assert_eq!(seen, ["1.0.0", "1.0.0-rc.1", "1.1.0"]);
    let foreign = path.replace("/ab/", "/ab-c/");
    assert_eq!(world.api.get(&foreign).send().await.pointer(), "/cursor");
    let shown = world.api.get("/v1/skills/ab/versions/1.0.0-rc.1").send().await.body_of(200);
    assert_eq!((&shown["fileCount"], &shown["deployedBy"]), (&json!(2), &json!("ann")));
    assert_eq!(shown["files"][1], file("scripts/index.mjs", "1.0.0-rc.1"));
}

#[tokio::test]
async fn a_channel_has_a_size_limit() {
    let world = World::new().await;
    let token = world.worker("w-1").await;
    let sized = |slug: String, content: String| {
        let files = json!([file("SKILL.md", &content), file("scripts/index.mjs", "")]);
        with(skill(&slug, "1.0.0", ""), &[("files", files)])
    };
    for n in 0..20 {
        world.deploy(sized(format!("s{n:02}"), padded("x", 200 * 1024))).await;
    }
    let last = 4 * 1024 * 1024 - 20 * 200 * 1024;
    world.deploy(sized("last".into(), padded("x", last))).await;
    let answer = world.refused(world.api.post("/v1/skills", sized("more".into(), SKILL_MD.into()))).await;
    assert_eq!(answer.problem(), (409, "conflict"));
    assert!(answer.detail().contains("4194352 bytes of files, but at most 4194304"), "{}", answer.detail());
    let body = with(sized("more".into(), SKILL_MD.into()), &[("releaseChannel", json!("canary"))]);
    world.deploy(body).await;
    let promote = world.api.post("/v1/skills/more/activate", json!({"version": "1.0.0", "actor": "a"}));
    assert_eq!(world.refused(promote).await.problem(), (409, "conflict"));
    assert_eq!(world.served(&token, "stable").await.len(), 21, "a full channel is served");
    world.status("last", "disabled").await;
    world.activate("more", json!({"version": "1.0.0", "actor": "a"})).await;
    let back = world.api.put("/v1/skills/last/status", json!({"status": "active", "actor": "a"}));
    assert_eq!(world.refused(back).await.problem(), (409, "conflict"));
}

#[tokio::test]
async fn the_size_limit_of_a_channel_counts_bytes_of_json() {
    let world = World::new().await;
    let token = world.worker("w-1").await;
    let noisy = |n: usize| {
        let files = json!([file("SKILL.md", &padded("\u{1}", 200 * 1024)), file("scripts/index.mjs", "")]);
        with(skill(&format!("s{n}"), "1.0.0", ""), &[("files", files)])
    };
    for n in 0..4 {
        world.deploy(noisy(n)).await;
    }
    let answer = world.refused(world.api.post("/v1/skills", noisy(4))).await;
    assert_eq!(answer.problem(), (409, "conflict"));
    assert!(answer.detail().contains("bytes of JSON"), "{}", answer.detail());
    let manifest = world.api.get(MANIFEST).key(&token).send().await.body_of(200);
    let in_lambda = serde_json::to_string(&manifest.to_string()).unwrap().len();
    assert!((5_000_000..6_000_000).contains(&in_lambda), "{in_lambda} bytes");
}
