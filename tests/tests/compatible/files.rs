//! Files through a function: archives and media as raw bodies, and links to the bucket.

use af_app::access::file_token::{self, LINK_GOOD_FOR};
use af_app::files::snapshots::object_key;
use af_domain::ids::{SnapshotId, WorkerId};
use af_domain::snapshot::URL_GOOD_FOR;
use af_domain::time::Millis;
use af_tests::telegram::{CHAT, PHOTO, Person, with_telegram};
use serde_json::{Value, json};

use crate::{CONVERSATION, Image, World, sha256, without_redirects};

const MB: usize = 1024 * 1024;

async fn upload_url(image: &Image<'_>) -> Value {
    let answer = image.value("workerGenerateMediaUploadUrl", json!({})).await;
    let url = format!("{}/media", image.base);
    assert_eq!(answer, json!({"uploadUrl": url}));
    json!(url)
}

async fn file_url(image: &Image<'_>, storage_id: &Value) -> Value {
    image.value("workerGetStorageFileUrl", json!({"storageId": storage_id})).await
}

async fn image_that_has_answered<'a>(world: &'a World, id: &str) -> Image<'a> {
    let (image, job) = world.image_at_work(id).await;
    image.of(&job, "workerComplete", json!({})).await;
    image
}

#[tokio::test]
async fn a_link_leads_to_the_bucket_contains_no_worker_token_and_expires() {
    let world = World::new().await;
    let image = image_that_has_answered(&world, "w").await;
    image.upload_snapshot("manual", b"files").await;
    world.enqueue(CONVERSATION, "telegram", "next").await;
    let successor = world.image("successor", Some(CONVERSATION)).await;
    let link = successor.latest().await["downloadUrl"].as_str().unwrap().to_owned();
    assert!(link.starts_with(&format!("{}/f/", world.url)), "{link}");
    assert!(!link.contains(&successor.token) && !link.contains("/w/"), "{link}");
    let client = without_redirects();
    let followed = client.get(&link).send().await.unwrap();
    let location = followed.headers()["location"].to_str().unwrap();
    assert_eq!(
        (followed.status().as_u16(), &followed.headers()["cache-control"]),
        (302, &"no-store".parse().unwrap())
    );
    assert!(location.contains("/snapshots/") && location.contains("X-Amz-Expires=60"), "{location}");
    assert_eq!(successor.fetch(&json!(link)).await, (200, b"files".to_vec()));

    let altered = format!("{}A{}", &link[..link.len() - 1], "");
    let (claims, signature) = link.rsplit_once('.').unwrap();
    let unsigned = format!("{claims}.");
    let other_claims = format!("{claims}A.{signature}");
    let nonsense = format!("{}/f/nonsense", world.url);
    let of_a_worker = format!("{}/f/{}", world.url, successor.token);
    for wrong in [altered, unsigned, other_claims, nonsense, of_a_worker] {
        let answer = client.get(&wrong).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 404, "{wrong}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
    }
    world.advance(LINK_GOOD_FOR);
    assert_eq!(client.get(&link).send().await.unwrap().status().as_u16(), 404);
}

#[tokio::test]
async fn only_the_link_of_the_owner_counts_as_a_restore() {
    let world = World::new().await;
    let kept = image_that_has_answered(&world, "w").await.upload_snapshot("manual", b"files").await;
    let id = SnapshotId::parse(kept["snapshotId"].as_str().unwrap()).unwrap();
    world.enqueue(CONVERSATION, "telegram", "next").await;
    let owner = world.image("owner", Some(CONVERSATION)).await;
    let other = WorkerId::parse("w").unwrap();
    for restorer in [None, Some(&other)] {
        let token = file_token::mint(&world.app, &object_key(&id), restorer).await.unwrap();
        assert_eq!(owner.fetch(&json!(format!("{}/f/{token}", world.url))).await, (200, b"files".to_vec()));
    }
    assert_eq!(owner.own("workerClaim", json!({})).await, Value::Null, "it has not restored its files");
}

#[tokio::test]
async fn a_link_is_no_worker_token() {
    let world = World::new().await;
    let image = image_that_has_answered(&world, "w").await;
    image.upload_snapshot("manual", b"files").await;
    let link = image.latest_for_successor("successor").await["downloadUrl"].as_str().unwrap().to_owned();
    let token = link.rsplit_once('/').unwrap().1.to_owned();
    for token in [token.clone(), format!("afw_{token}")] {
        let caller = world.with_token("w", &token);
        let (_, answer) = caller.call("workerControlState", json!({"workerId": "w"})).await;
        assert_eq!(answer["status"], "error", "{answer}");
    }
}

#[tokio::test]
async fn an_archive_may_be_larger_than_the_limit_of_an_http_api() {
    let world = World::new().await;
    let image = image_that_has_answered(&world, "w").await;
    let archive: Vec<u8> = (0..=250).cycle().take(12 * MB).collect();
    image.upload_snapshot("manual", &archive).await;
    let latest = image.latest_for_successor("successor").await;
    assert_eq!((&latest["sizeBytes"], &latest["sha256"]), (&json!(archive.len()), &json!(sha256(&archive))));
    assert_eq!(image.fetch(&latest["downloadUrl"]).await, (200, archive));
}

#[tokio::test]
async fn an_image_can_upload_to_the_native_url_and_finalize_with_its_function() {
    let world = World::new().await;
    let image = image_that_has_answered(&world, "w").await;
    let bytes = b"files".to_vec();
    let announced = json!({
        "conversationId": CONVERSATION, "reason": "manual", "sizeBytes": bytes.len(), "sha256": sha256(&bytes),
    });
    let prepared =
        world.api.post("/v1/worker/snapshots", announced).key(&image.token).send().await.body_of(201);
    let mut put = world.http.put(prepared["uploadUrl"].as_str().unwrap()).body(bytes.clone());
    for (name, value) in prepared["headers"].as_object().unwrap() {
        put = put.header(name, value.as_str().unwrap());
    }
    assert_eq!(put.send().await.unwrap().status().as_u16(), 200);
    assert_eq!(image.finalize(&prepared, &bytes).await, true);
    assert_eq!(world.worker_row("w").await["status"], "stopping");
}

#[tokio::test]
async fn links_use_the_public_url_of_the_operator_with_its_path() {
    let world = World::new().await;
    let image = world.image("w", None).await;
    let own = json!({"plaintextValue": "https://agents.example.com/factory/"});
    world.api.put("/v1/secrets/factory.url", own).send().await.body_of(200);
    let url = image.value("workerGenerateMediaUploadUrl", json!({})).await["uploadUrl"].clone();
    assert_eq!(url, format!("https://agents.example.com/factory/w/{}/media", image.token));
}

#[tokio::test]
async fn an_archive_that_is_too_large_is_refused_and_recorded_as_too_large() {
    let world = World::new().await;
    let image = image_that_has_answered(&world, "w").await;
    let prepared = image.prepare("manual").await;
    // A request that declares such a length gets its response before it sends the body.
    let (status, _) = image.post(&prepared["uploadUrl"], vec![0; 64 * MB + 1]).await;
    assert_eq!(status, 413);
    let args =
        json!({"snapshotId": prepared["snapshotId"], "error": "snapshot upload failed [413]: too large"});
    assert_eq!(image.own("workerFailSnapshotUpload", args).await, true);
    let rows = world.items().await;
    let row = rows.iter().find(|row| row["id"]["S"] == prepared["snapshotId"]).unwrap();
    assert_eq!(
        (&row["st"]["S"], &row["er"]["S"]),
        (&json!("failed"), &json!("snapshotTooLarge: snapshot upload failed [413]: too large"))
    );
}

#[tokio::test]
async fn an_archive_is_accepted_only_for_a_prepared_snapshot_of_its_worker() {
    let world = World::new().await;
    let image = image_that_has_answered(&world, "w").await;
    let other = world.image("other", None).await;
    let late = image.prepare("drain").await;
    world.advance(URL_GOOD_FOR);
    let prepared = image.prepare("drain").await;
    let url = |image: &Image<'_>| {
        json!(format!("{}/snapshots/{}", image.base, prepared["snapshotId"].as_str().unwrap()))
    };
    let refused = |(status, answer): (u16, Value)| (status, answer["code"].clone());
    let code = |text: &str| json!(text);
    assert_eq!(refused(image.post(&url(&image), Vec::new()).await), (422, code("invalid_field")));
    assert_eq!(refused(image.post(&url(&other), b"x".to_vec()).await), (404, code("not_found")));
    let forger = world.with_token("w", "afw_x.y");
    assert_eq!(refused(image.post(&url(&forger), b"x".to_vec()).await), (401, code("unauthorized")));
    for _ in 0..2 {
        assert_eq!(
            image.post(&url(&image), b"first".to_vec()).await.0,
            200,
            "also when the upload is repeated"
        );
    }
    let posted = image.post(&url(&image), b"second".to_vec()).await;
    assert_eq!(refused(posted), (409, code("conflict")), "the first archive is kept");
    let posted = image.post(&late["uploadUrl"], b"late".to_vec()).await;
    assert_eq!(refused(posted), (409, code("conflict")), "the upload URL has expired");
    assert_eq!(image.finalize(&prepared, b"second").await, false);
    assert_eq!(image.finalize(&prepared, b"first").await, true);
    let posted = image.post(&url(&image), b"third".to_vec()).await;
    assert_eq!(refused(posted), (409, code("stale_snapshot")), "the worker has ended");
    let latest = image.latest_for_successor("successor").await;
    assert_eq!(image.fetch(&latest["downloadUrl"]).await, (200, b"first".to_vec()));
}

#[tokio::test]
async fn media_is_available_in_its_own_conversation_only() {
    let world = World::new().await;
    let (image, _) = world.image_at_work("w").await;
    let url = upload_url(&image).await;
    let (status, stored) = image.post(&url, b"a picture".to_vec()).await;
    let storage_id = stored["storageId"].clone();
    assert_eq!((status, &stored), (200, &json!({"storageId": storage_id})));
    let link = file_url(&image, &storage_id).await;
    assert!(link.as_str().unwrap().starts_with(&format!("{}/f/", world.url)), "{link}");
    assert_eq!(image.fetch(&link).await, (200, b"a picture".to_vec()));

    world.enqueue("another", "telegram", "hello").await;
    let other = world.image("other", Some("another")).await;
    assert_eq!(file_url(&other, &storage_id).await, Value::Null);
    for unknown in ["nonsense", ""] {
        assert_eq!(file_url(&image, &json!(unknown)).await, Value::Null, "{unknown}");
    }
    let before = world.items().await.len();
    assert_eq!(image.post(&url, Vec::new()).await.0, 422);
    assert_eq!(world.items().await.len(), before);
}

#[tokio::test]
async fn a_photo_has_a_link_that_leads_to_this_photo_only() {
    let (bundle, telegram) = with_telegram().await;
    let world = World::over(bundle).await;
    let ann = Person::writes_to(&world.bundle, world.api.clone(), telegram, "demo").await;
    ann.sends_photo(1).await;
    let conversation = json!({"conversationId": format!("telegram:{}:{CHAT}", ann.bot.id)});
    let image = world.image("w", conversation["conversationId"].as_str()).await;
    assert_eq!(
        image.own("workerClaim", conversation.clone()).await,
        Value::Null,
        "the photo is not fetched yet"
    );
    assert_eq!(image.value("workerConversationHasQueued", conversation.clone()).await, true);
    ann.fetch(&world.bundle).await;

    let job = image.own("workerClaim", conversation).await;
    let attachments = &job["payload"]["attachments"];
    let file = &attachments[0];
    let expected = json!([{
        "kind": "photo", "status": "ready", "storageId": file["storageId"],
        "telegramFileId": file["telegramFileId"], "mimeType": "image/jpeg", "sizeBytes": PHOTO.len(),
        "expiresAt": world.now() + Millis::from_days(7).as_millis(), "downloadUrl": file["downloadUrl"],
    }]);
    assert_eq!(*attachments, expected);
    let wanted = json!({"messageId": job["messageId"], "workspaceId": "default"});
    let bundle = image.value("workerHydrationBundle", wanted).await;
    assert_eq!(bundle["payload"], job["payload"]);
    let link = file["downloadUrl"].as_str().unwrap();
    assert!(link.starts_with(&format!("{}/f/", world.url)), "{link}");
    assert!(!link.contains(&image.token) && !link.contains(&ann.bot.token), "{link}");
    assert_eq!(image.fetch(&json!(link)).await, (200, PHOTO.to_vec()));
    let url = file_url(&image, &file["storageId"]).await;
    assert_eq!(image.fetch(&url).await, (200, PHOTO.to_vec()));
    world.enqueue(CONVERSATION, "telegram", "hello").await;
    let other = world.image("other", Some(CONVERSATION)).await;
    assert_eq!(
        file_url(&other, &file["storageId"]).await,
        Value::Null,
        "the photo belongs to another conversation"
    );
}
