//! The metrics that a test records.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Once;

use af_runtime::metric::{Metric, TARGET};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

type Values = BTreeMap<Metric, Vec<u64>>;

thread_local! {
    /// The values of the test that runs on this thread, if it records them.
    static RECORDED: RefCell<Option<Values>> = const { RefCell::new(None) };
}

/// All values of each metric, in the order in which this thread records them, until this value is dropped. The tasks of
/// a test with one thread belong to it.
///
/// The process has one subscriber for all tests: `tracing` keeps for each place in the code whether any subscriber wants
/// its events, and subscribers of single threads make that wrong.
pub struct RecordedMetrics {
    /// It belongs to its thread.
    _not_send: PhantomData<*const ()>,
}

impl RecordedMetrics {
    /// Begins to record.
    ///
    /// # Panics
    /// When the process has another subscriber.
    #[must_use]
    pub fn begin() -> Self {
        static SUBSCRIBED: Once = Once::new();
        SUBSCRIBED.call_once(|| {
            let layer = OfThread.with_filter(filter_fn(|event| event.target() == TARGET));
            tracing_subscriber::registry().with(layer).try_init().expect("there is no other subscriber");
        });
        RECORDED.with(|recorded| recorded.replace(Some(Values::new())));
        Self { _not_send: PhantomData }
    }

    /// The values of `metric`.
    #[must_use]
    pub fn of(&self, metric: Metric) -> Vec<u64> {
        self.all().remove(&metric).unwrap_or_default()
    }

    /// The values of each metric that has any.
    #[must_use]
    #[allow(clippy::unused_self, reason = "values are recorded only while this value exists")]
    pub fn all(&self) -> BTreeMap<Metric, Vec<u64>> {
        RECORDED.with_borrow(|recorded| recorded.clone().unwrap_or_default())
    }
}

impl Drop for RecordedMetrics {
    fn drop(&mut self) {
        RECORDED.with(|recorded| recorded.replace(None));
    }
}

struct OfThread;

impl<S: Subscriber + for<'span> LookupSpan<'span>> Layer<S> for OfThread {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let metric = fields.metric.expect("the event names a metric of the list");
        RECORDED.with_borrow_mut(|recorded| {
            if let Some(values) = recorded {
                values.entry(metric).or_default().push(fields.value);
            }
        });
    }
}

#[derive(Default)]
struct Fields {
    metric: Option<Metric>,
    value: u64,
}

impl Visit for Fields {
    fn record_str(&mut self, _: &Field, text: &str) {
        self.metric = Metric::of_name(text);
    }

    fn record_u64(&mut self, _: &Field, value: u64) {
        self.value = value;
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}
