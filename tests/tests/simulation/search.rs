//! Running many seeds on all cores.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use af_runtime::clock::{Clock, SystemClock};

use crate::corpus::{self, Covered};
use crate::costs::PeakRequests;
use crate::mutations::Mutation;
use crate::tally::Tally;
use crate::world::{self, Verdict};

/// Seeds between two lines of progress.
const PROGRESS_EVERY: usize = 500;
/// Stack for the futures of the use cases, which are large without optimisation.
const STACK_BYTES: usize = 16 * 1024 * 1024;

/// The result of a search.
pub struct SearchResult {
    /// The world of the lowest seed that broke an invariant.
    pub failed: Option<Verdict>,
    /// The events of all worlds.
    pub tally: Tally,
    /// The largest request counts of operations while faults were off.
    pub peak_requests: PeakRequests,
    /// The coverage of each world.
    pub coverage: BTreeMap<u64, BTreeSet<Covered>>,
}

/// Runs `seeds` until one breaks an invariant.
pub fn search(seeds: &[u64], mutation: Mutation) -> SearchResult {
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(None::<Verdict>);
    let tally = Tally::default();
    let peak_requests = Mutex::new(PeakRequests::new());
    let coverage = Mutex::new(BTreeMap::new());
    let started_at = SystemClock.now();
    let work = || {
        while failed.lock().unwrap().is_none() {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(&seed) = seeds.get(at) else { break };
            let verdict = run(seed, mutation);
            tally.add(&verdict.tally);
            coverage.lock().unwrap().insert(seed, corpus::coverage_of(&verdict));
            for (operation, requests) in &verdict.peak_requests {
                let mut peak_requests = peak_requests.lock().unwrap();
                let peak = peak_requests.entry(*operation).or_default();
                *peak = *requests.max(peak);
            }
            if verdict.violation.is_some() {
                let mut failed = failed.lock().unwrap();
                if failed.as_ref().is_none_or(|f| f.seed > seed) {
                    *failed = Some(verdict);
                }
            }
            let run = at + 1;
            if run.is_multiple_of(PROGRESS_EVERY) {
                let took = Duration::from_millis(SystemClock.now().since(started_at).as_millis());
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
    SearchResult {
        failed: failed.into_inner().unwrap(),
        tally,
        peak_requests: peak_requests.into_inner().unwrap(),
        coverage: coverage.into_inner().unwrap(),
    }
}

/// Runs one seed. A panic is a violation, too.
fn run(seed: u64, mutation: Mutation) -> Verdict {
    catch_unwind(AssertUnwindSafe(|| world::run(seed, mutation, false))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
        Verdict::of_panic(seed, format!("panicked: {}", text.unwrap_or_default()))
    })
}

/// Runs the seed again and prints the last lines of its trace.
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

#[allow(clippy::print_stderr, reason = "figures for a person who runs this by hand")]
pub fn report(line: &str) {
    eprintln!("{line}");
}
