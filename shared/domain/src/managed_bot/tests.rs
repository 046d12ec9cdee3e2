use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_000_000);

fn identity(id: &str) -> BotIdentity {
    BotIdentity::parse(id).unwrap()
}

fn link() -> BotLink {
    let agent = AgentKey::parse("support").unwrap();
    BotLink {
        username: BotUsername::suggested(&agent, 7),
        name: "Ann & Co".into(),
        manager: identity("7"),
        manager_username: "factory_bot".into(),
        user: ConsumerUserId::parse("ann").unwrap(),
        agent,
        replace: false,
        public_url: "https://a.example".into(),
        created_at: NOW,
        expires_at: NOW + Millis::from_secs(60),
        bot: None,
    }
}

fn created() -> CreatedBot {
    let creator = TelegramUserId::parse("42").unwrap();
    CreatedBot { identity: identity("8"), username: "x_bot".into(), creator }
}

fn decided(update: u64, known: Option<&ManagedBot>, link: Option<&BotLink>, now: Timestamp) -> Decision {
    decide(&identity("7"), &created(), update, known, link, now)
}

#[test]
fn a_suggested_name_is_a_name_of_a_bot_for_every_agent_key() {
    for key in ["support", "7.eleven", "-", "A.Very_Long-Agent.Key.Of.Many.Words", "x__y"] {
        let name = BotUsername::suggested(&AgentKey::parse(key).unwrap(), u64::MAX);
        assert!(name.as_str().ends_with("_zzzzzzzzzz_bot") && !name.as_str().contains("__"), "{name}");
    }
}

#[test]
fn the_address_names_manager_bot_and_display_name() {
    let address = link().address();
    assert_eq!(address, "https://t.me/newbot/factory_bot/support_9222222222_bot?name=Ann%20%26%20Co");
}

#[test]
fn a_link_connects_one_bot_of_its_manager_before_it_expires() {
    let (pending, used) = (link(), BotLink { bot: Some(identity("9")), ..link() });
    let Decision::Connect(bot) = decided(1, None, Some(&pending), NOW) else { panic!() };
    assert_eq!((bot.state.clone(), bot.is_due(NOW)), (ManagedBotState::Connecting, true));
    assert_eq!(decided(1, None, Some(&pending), pending.expires_at), Decision::Expired);
    assert_eq!(decided(1, None, Some(&used), NOW), Decision::NoLink);
    assert_eq!(decided(1, None, None, NOW), Decision::NoLink);
    let other = BotLink { manager: identity("6"), ..link() };
    assert_eq!(decided(1, None, Some(&other), NOW), Decision::NoLink);
    assert_eq!(decided(1, Some(&bot), Some(&pending), NOW), Decision::Repeated);
    let others = ManagedBot { manager: identity("6"), ..bot };
    assert_eq!(decided(2, Some(&others), Some(&pending), NOW), Decision::NoLink);
}

#[test]
fn an_update_during_the_work_makes_the_bot_due_again() {
    let Decision::Connect(bot) = decided(1, None, Some(&link()), NOW) else { panic!() };
    let begun = bot.worked_on_by("a", NOW);
    assert!(begun.is_worked_on(NOW) && !begun.is_due(NOW) && begun.is_due(NOW + WORK_TIME));
    let done = begun.ended(ManagedBotState::Connected, &begun, NOW);
    assert_eq!((done.due_at, done.worker.clone()), (None, None));
    let Decision::FetchAgain(reported) = decided(2, Some(&begun), None, NOW) else { panic!() };
    assert_eq!(reported.due_at, begun.due_at, "the work is not disturbed");
    assert!(reported.ended(ManagedBotState::Connected, &begun, NOW).is_due(NOW));
    let Decision::FetchAgain(again) = decided(2, Some(&done), None, NOW) else { panic!() };
    assert!(again.is_due(NOW));
    let failed = done.ended(ManagedBotState::Failed { reason: "no".into() }, &done, NOW);
    assert_eq!(decided(3, Some(&failed), None, NOW), Decision::Failed);
}

#[test]
fn a_bot_is_tried_with_growing_waits_for_a_day() {
    let Decision::Connect(mut bot) = decided(1, None, Some(&link()), NOW) else { panic!() };
    let (mut now, mut waits) = (NOW, Vec::new());
    while bot.state == ManagedBotState::Connecting {
        bot = bot.worked_on_by("a", now).waiting("no", None, now);
        waits.extend(bot.due_at.map(|due| due.since(now).as_millis() / 1_000));
        now = bot.due_at.unwrap_or(now);
    }
    assert_eq!(waits[..7], [5, 10, 20, 40, 80, 160, 300]);
    assert!(now.since(NOW) <= MAX_WAIT && now + LONGEST_WAIT > NOW + MAX_WAIT);
}

#[test]
fn the_status_of_a_link_is_that_of_its_bot() {
    let (pending, end) = (link(), link().expires_at);
    assert_eq!(pending.status(None, NOW), BotLinkStatus::Pending);
    assert_eq!(pending.status(None, end), BotLinkStatus::Expired);
    let Decision::Connect(bot) = decided(1, None, Some(&pending), NOW) else { panic!() };
    let used = BotLink { bot: Some(bot.identity.clone()), ..pending };
    assert_eq!(used.status(Some(&bot), end), BotLinkStatus::Connecting);
    let connected = bot.ended(ManagedBotState::Connected, &bot, NOW);
    assert_eq!(used.status(Some(&connected), end), BotLinkStatus::Connected);
}
