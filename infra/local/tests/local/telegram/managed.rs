//! Bots that users create with the link of a manager bot.

use serde_json::json;

use super::support::Fixture;

#[tokio::test]
async fn a_manager_bot_gets_an_update_and_the_token_of_the_bot_that_a_user_creates() {
    let f = Fixture::new().await;
    let tap = |link: &str| json!({"link": link, "userId": 42});
    let link = format!("https://t.me/newbot/{}/ann_77_bot?name=Ann", f.bot.username);
    let (status, refused) = f.post_local("managed-bots", tap(&link)).await;
    assert_eq!(
        (status, &refused["detail"]),
        (409, &json!("the bot was not created: MANAGER_PERMISSION_MISSING"))
    );
    f.telegram.let_manage(f.bot.id).unwrap();
    let (_, me) = f.call("getMe", json!({})).await;
    assert_eq!(me["result"]["can_manage_bots"], true);
    let (_, tapped) = f.post_local("managed-bots", tap(&link)).await;
    let id: i64 = tapped["botIdentity"].as_str().unwrap().parse().unwrap();
    let (_, updates) = f.call("getUpdates", json!({})).await;
    let update = &updates["result"][0]["managed_bot"];
    assert_eq!((&update["user"]["id"], &update["bot"]["id"]), (&json!(42), &json!(id)));
    assert_eq!(update["bot"]["username"], "ann_77_bot");
    let (_, token) = f.call("getManagedBotToken", json!({"user_id": id})).await;
    let token = token["result"].as_str().unwrap();
    assert!(token.starts_with(&format!("{id}:")));
    assert!(!tapped.to_string().contains(token), "the user does not see the token");
    let (_, replaced) = f.call("replaceManagedBotToken", json!({"user_id": id})).await;
    let of_bot = f.telegram.bots().into_iter().find(|bot| bot.id == id).unwrap();
    assert!(replaced["result"] == json!(of_bot.token) && of_bot.token != token);
    for (method, user) in [("getManagedBotToken", f.bot.id), ("replaceManagedBotToken", 7)] {
        let (status, refused) = f.call(method, json!({"user_id": user})).await;
        assert_eq!((status, &refused["description"]), (400, &json!("Bad Request: BOT_INVALID")));
    }
    for (name, reason) in [
        ("ann_77_bot", "USERNAME_OCCUPIED"),
        ("ann_77", "USERNAME_SUFFIX_MISSING"),
        ("1_bot", "USERNAME_INVALID"),
        ("a-b_bot", "USERNAME_INVALID"),
    ] {
        let link = format!("https://t.me/newbot/{}/{name}", f.bot.username);
        let (status, refused) = f.post_local("managed-bots", tap(&link)).await;
        assert_eq!((status, refused["detail"].as_str().unwrap().contains(reason)), (409, true), "{refused}");
    }
}
