//! Running many seeds on all cores.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use af_runtime::clock::{Clock, SystemClock};

use crate::corpus::{self, Shown};
use crate::costs::Dearest;
use crate::mutations::Mutation;
use crate::tally::Tally;
use crate::world::{self, Verdict};

/// Between two lines that say how far it is.
const PROGRESS_EVERY: usize = 500;
/// Room for the futures of the use cases, which are large when nothing is optimised.
const STACK_BYTES: usize = 16 * 1024 * 1024;

/// What a search found.
pub struct Found {
    /// The lowest seed that broke an invariant.
    pub broken: Option<Verdict>,
    /// What happened in all worlds that were run.
    pub tally: Tally,
    /// What operations took where nothing went wrong.
    pub dearest: Dearest,
    /// What each world has shown.
    pub shown: BTreeMap<u64, BTreeSet<Shown>>,
}

/// Runs `seeds` until one breaks an invariant.
pub fn search(seeds: &[u64], mutation: Mutation) -> Found {
    let next = AtomicUsize::new(0);
    let broken = Mutex::new(None::<Verdict>);
    let tally = Tally::default();
    let dearest = Mutex::new(Dearest::new());
    let shown = Mutex::new(BTreeMap::new());
    let began = SystemClock.now();
    let work = || {
        while broken.lock().unwrap().is_none() {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(&seed) = seeds.get(at) else { break };
            let verdict = run(seed, mutation);
            tally.add(&verdict.tally);
            shown.lock().unwrap().insert(seed, corpus::shown(&verdict));
            for (operation, took) in &verdict.dearest {
                let mut dearest = dearest.lock().unwrap();
                let most = dearest.entry(*operation).or_default();
                *most = *took.max(most);
            }
            if verdict.broken.is_some() {
                let mut broken = broken.lock().unwrap();
                if broken.as_ref().is_none_or(|b| b.seed > seed) {
                    *broken = Some(verdict);
                }
            }
            let run = at + 1;
            if run.is_multiple_of(PROGRESS_EVERY) {
                let took = Duration::from_millis(SystemClock.now().since(began).as_millis());
                report(&format!("{run} of {} seeds in {took:.1?}", seeds.len()));
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            std::thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, work).unwrap();
        }
    });
    Found {
        broken: broken.into_inner().unwrap(),
        tally,
        dearest: dearest.into_inner().unwrap(),
        shown: shown.into_inner().unwrap(),
    }
}

/// Runs one seed; a panic breaks it, too.
fn run(seed: u64, mutation: Mutation) -> Verdict {
    catch_unwind(AssertUnwindSafe(|| world::run(seed, mutation, false))).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().cloned();
        let said = said.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
        Verdict::broken(seed, format!("panicked: {}", said.unwrap_or_default()))
    })
}

/// The same seed once more, with its last moments told.
pub fn replay(seed: u64) -> Verdict {
    let verdict = world::run(seed, Mutation::None, true);
    for line in &verdict.trace {
        report(line);
    }
    verdict
}

pub fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|n| n.parse().unwrap_or_else(|_| panic!("{variable} must be a number")))
}

#[allow(clippy::print_stderr, reason = "figures for whoever runs this by hand")]
pub fn report(line: &str) {
    eprintln!("{line}");
}
