use super::*;
use crate::document::Owner;
use crate::ids::DocumentPath;
use crate::policy::Policies;
use crate::snapshot::Stored;

/// 2026-11-30, noon UTC.
const NOW: Timestamp = Timestamp::from_millis(1_796_040_000_000);

fn keys() -> (AgentKey, ConversationKey) {
    (AgentKey::parse("support").unwrap(), ConversationKey::parse("abcdefghijklmnopqrstuvwx23").unwrap())
}

fn document(path: &str, size_bytes: u64) -> Document {
    Document {
        path: DocumentPath::parse(path).unwrap(),
        owner: Owner::Agent,
        content: Some(Stored { size_bytes, sha256: sha256(path.as_bytes()) }),
        version: 1,
        updated_at: NOW,
        updated_by: "key:a".to_owned(),
    }
}

fn compiled(agent: Vec<Document>, conversation: Vec<Document>, limits: &HydrationPolicy) -> Workspace {
    let (agent_key, conversation_key) = keys();
    compile((&agent_key, agent), (&conversation_key, conversation), limits, NOW)
}

fn days(workspace: &Workspace) -> Vec<&str> {
    workspace.memory_window.iter().filter_map(|placed| placed.document.path.day()).collect()
}

#[test]
fn a_document_of_the_conversation_replaces_the_agents_and_a_deleted_one_does_not() {
    let limits = Policies::default().hydration;
    let deleted = Document { content: None, ..document("MEMORY.md", 5) };
    let agent = vec![document("USER.md", 5), document("MEMORY.md", 5), document("SOUL.md", 5)];
    let workspace = compiled(agent, vec![document("USER.md", 7), deleted, document("AGENTS.md", 3)], &limits);
    let (agent_key, conversation_key) = keys();
    let sets: Vec<_> = workspace
        .documents
        .iter()
        .map(|(placed, _)| (placed.document.path.as_str(), placed.set.clone(), placed.document.size_bytes()))
        .collect();
    let agent = || DocumentSet::Agent(agent_key.clone());
    assert_eq!(
        sets,
        [
            ("MEMORY.md", agent(), 5),
            ("SOUL.md", agent(), 5),
            ("USER.md", DocumentSet::Conversation(conversation_key), 7)
        ],
        "only personal documents of the conversation count"
    );
}

#[test]
fn the_memory_window_has_the_last_days_the_newest_first() {
    let memory = |day: &str| document(&format!("memory/{day}.md"), 10);
    let all = ["2026-11-23", "2026-11-24", "2026-11-30", "2026-12-01"].map(memory).to_vec();
    let mut limits = Policies::default().hydration;
    let workspace = compiled(all.clone(), vec![], &limits);
    assert_eq!(days(&workspace), ["2026-12-01", "2026-11-30", "2026-11-24"]);
    assert_eq!(workspace.memory_since, "2026-11-24");
    limits.memory_days = 1;
    assert_eq!(days(&compiled(all.clone(), vec![], &limits)), ["2026-12-01", "2026-11-30"]);
    limits.memory_days = 0;
    assert_eq!(days(&compiled(all, vec![], &limits)), [""; 0]);
}

#[test]
fn content_that_does_not_fit_has_a_link_and_ends_the_window() {
    let mut limits = Policies::default().hydration;
    limits.max_document_bytes = 100;
    let agent = vec![document("AGENTS.md", 60), document("SOUL.md", 50), document("TOOLS.md", 20)];
    let memory = |day: &str, size| document(&format!("memory/{day}.md"), size);
    let conversation = vec![memory("2026-11-28", 1), memory("2026-11-29", 15), memory("2026-11-30", 15)];
    let workspace = compiled(agent, conversation, &limits);
    let delivered: Vec<_> = workspace.documents.iter().map(|(_, delivery)| *delivery).collect();
    assert_eq!(delivered, [Delivery::Content, Delivery::Link, Delivery::Content]);
    assert_eq!(days(&workspace), ["2026-11-30"], "an older day does not come before a newer one");
    assert_eq!(workspace.memory_since, "2026-11-30");
}

#[test]
fn a_fingerprint_changes_with_each_set_each_limit_and_the_day() {
    let (agent, conversation) = keys();
    let limits = Policies::default().hydration;
    let (agent_head, conversation_head) = (SetHead::default(), SetHead::default());
    let changed = SetHead { revision: 1, changed_at: NOW, ..SetHead::default() };
    let other_limits = HydrationPolicy { memory_days: 8, ..limits.clone() };
    let base = Fingerprint {
        agent: &agent,
        agent_head: &agent_head,
        conversation: &conversation,
        conversation_head: &conversation_head,
        limits: &limits,
        now: NOW,
    };
    let mut texts: Vec<_> = [
        base.clone(),
        Fingerprint { agent_head: &changed, ..base.clone() },
        Fingerprint { conversation_head: &changed, ..base.clone() },
        Fingerprint { limits: &other_limits, ..base.clone() },
        Fingerprint { now: NOW + Millis::from_days(1), ..base.clone() },
    ]
    .iter()
    .map(Fingerprint::text)
    .collect();
    assert_eq!(Fingerprint { now: NOW + Millis::from_secs(60), ..base.clone() }.text(), texts[0]);
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), 5);
}
