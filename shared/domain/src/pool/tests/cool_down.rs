use super::*;

const MINUTE: u64 = 60;

fn waiting(count: usize, memory: Memory) -> Observed {
    Observed { ready: (0..count).map(|n| ready(n, NOW)).collect(), memory, ..Observed::default() }
}

fn failed(times: usize, at: Timestamp) -> Memory {
    let mut memory = Memory::default();
    memory.count_spawns(0, times, at);
    memory
}

fn spawns(plan: &Plan) -> usize {
    plan.actions.iter().filter(|p| matches!(p.action, Action::Spawn { .. })).count()
}

#[test]
fn three_failures_in_a_row_make_a_pause_that_doubles_up_to_ten_minutes() {
    let mut memory = Memory::default();
    for minutes in [0, 0, 1, 2, 4, 8, 10, 10] {
        memory.count_spawns(0, 1, NOW);
        let expected = (minutes > 0).then(|| NOW + Millis::from_secs(minutes * MINUTE));
        assert_eq!(memory.cool_down_ends(), expected, "after {} failures", memory.failures);
    }
    let endless = failed(usize::MAX, NOW);
    assert_eq!(endless.cool_down_ends(), Some(NOW + Millis::from_secs(10 * MINUTE)));
    memory.count_spawns(0, 0, NOW);
    assert_eq!(memory.failures, 8, "a run without a spawn says nothing");
    memory.count_spawns(1, 2, NOW);
    assert_eq!(memory, Memory::default(), "one that comes up ends it");
}

#[test]
fn nothing_is_spawned_in_a_cool_down_and_the_plan_says_until_when() {
    let policies = Policies::default();
    let cooling = plan(&waiting(2, failed(3, NOW)), &policies, NOW + Millis::from_secs(59));
    assert_eq!((spawns(&cooling), cooling.unserved), (0, 2));
    let wait = Wait {
        subject: "spawning".to_owned(),
        waits_for: "the provider, which failed 3 times in a row".to_owned(),
        until: Some(NOW + Millis::from_secs(MINUTE)),
    };
    assert_eq!(cooling.waits, [wait]);
}

#[test]
fn after_a_cool_down_one_worker_is_tried_before_the_others() {
    let policies = Policies::default();
    let over = NOW + Millis::from_secs(MINUTE);
    assert_eq!(spawns(&plan(&waiting(5, failed(3, NOW)), &policies, over)), 1);
    assert_eq!(spawns(&plan(&waiting(5, failed(2, NOW)), &policies, NOW)), 3, "two are no reason");
}

#[test]
fn in_a_cool_down_workers_that_are_there_are_asked_to_take_others() {
    let policies = Policies::default();
    let observed = Observed { workers: vec![assigned(9)], ..waiting(1, failed(3, NOW)) };
    let plan = plan(&observed, &policies, NOW + Millis::new(1));
    assert_eq!(actions(&plan), [Action::AskToSwitch { conversation: key(9) }]);
}

#[test]
fn spare_workers_count_towards_the_step_and_wait_in_a_cool_down_too() {
    let mut policies = Policies::default();
    policies.scaling.idle_workers_min = 5;
    assert_eq!(spawns(&plan(&waiting(1, Memory::default()), &policies, NOW)), 3);
    assert_eq!(spawns(&plan(&waiting(1, failed(3, NOW)), &policies, NOW)), 0);
}
