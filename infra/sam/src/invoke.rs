//! The call of a function by an event source: it takes a payload and returns an answer or an error within its timeout.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use af_domain::time::Millis;
use futures::future::{BoxFuture, FutureExt};
use serde_json::Value;

type Handler = Arc<dyn Fn(Value) -> BoxFuture<'static, anyhow::Result<Value>> + Send + Sync>;

/// A function that takes events and no HTTP requests. Clones share the same function.
#[derive(Clone)]
pub struct EventFunction {
    name: String,
    timeout: Duration,
    handler: Handler,
}

/// The reason why an invocation returned no answer. The event sources of Lambda treat all of them as a failed
/// invocation.
#[derive(Debug, thiserror::Error)]
pub enum InvokeError {
    /// The function returned an error.
    #[error("{0:#}")]
    Failed(anyhow::Error),
    /// The function exceeded its timeout from the template and was stopped, as on Lambda.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// The function panicked.
    #[error("the function panicked")]
    Panicked,
}

impl fmt::Debug for EventFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventFunction").field("name", &self.name).field("timeout", &self.timeout).finish()
    }
}

impl EventFunction {
    /// Wraps the function with the logical id `name`. `timeout` is in real time.
    pub fn new<F, Answer, E>(name: impl Into<String>, timeout: Millis, handler: F) -> Self
    where
        F: Fn(Value) -> Answer + Send + Sync + 'static,
        Answer: Future<Output = Result<Value, E>> + Send + 'static,
        E: Into<anyhow::Error> + 'static,
    {
        Self {
            name: name.into(),
            timeout: Duration::from_millis(timeout.as_millis()),
            handler: Arc::new(move |payload| {
                handler(payload).map(|answer| answer.map_err(Into::into)).boxed()
            }),
        }
    }

    /// Its logical id in the template.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Calls the function. It runs in its own task, so that a panic becomes an error and does not end the event
    /// source. Dropping this future stops the function.
    pub async fn invoke(&self, payload: Value) -> Result<Value, InvokeError> {
        let mut task = tokio::task::JoinSet::new();
        task.spawn((self.handler)(payload));
        match tokio::time::timeout(self.timeout, task.join_next()).await {
            Err(_) => Err(InvokeError::TimedOut(self.timeout)),
            Ok(Some(Ok(answer))) => answer.map_err(InvokeError::Failed),
            Ok(Some(Err(_)) | None) => Err(InvokeError::Panicked),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TIMEOUT: Millis = Millis::from_secs(3);

    #[tokio::test]
    async fn an_answer_and_an_error_are_returned() {
        let function = EventFunction::new("Echo", TIMEOUT, |payload: Value| async move {
            if payload.is_null() { Err(anyhow::anyhow!("nothing came")) } else { Ok(payload) }
        });
        assert_eq!(function.invoke(json!({"a": 1})).await.unwrap(), json!({"a": 1}));
        assert_eq!(function.invoke(Value::Null).await.unwrap_err().to_string(), "nothing came");
    }

    #[tokio::test]
    async fn a_panic_is_a_failed_invocation() {
        let function = EventFunction::new("Broken", TIMEOUT, |payload: Value| async move {
            assert!(payload.is_null(), "told to");
            anyhow::Ok(payload)
        });
        assert!(matches!(function.invoke(json!(1)).await, Err(InvokeError::Panicked)));
        assert!(function.invoke(Value::Null).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_function_that_never_answers_is_stopped_at_its_timeout() {
        let function =
            EventFunction::new("Stuck", TIMEOUT, |_| std::future::pending::<anyhow::Result<Value>>());
        assert!(matches!(function.invoke(Value::Null).await, Err(InvokeError::TimedOut(_))));
    }
}
