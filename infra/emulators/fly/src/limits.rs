//! The rate limits of Fly: for each action of an app one request a second with bursts of three, and five requests a
//! second for getting a machine.

use std::collections::HashMap;
use std::time::Duration;

use super::action::Action;

/// How much too early a request may arrive: the clocks of two processes never agree to the millisecond.
const TOLERANCE: Duration = Duration::from_millis(50);

/// Token buckets by action and app, each with its tokens and the moment at which it had them.
#[derive(Debug, Default)]
pub(super) struct Limits(HashMap<(Action, String), (f64, Duration)>);

impl Limits {
    /// Takes one request; the error is the number of seconds until the next one is allowed.
    pub fn take(&mut self, action: Action, app: &str, now: Duration) -> Result<(), u64> {
        let (a_second, burst) = match action {
            Action::GetMachine => (5.0, 5.0),
            _ => (1.0, 3.0),
        };
        let (left, at) = self.0.entry((action, app.to_owned())).or_insert((burst, now));
        *left = (now.saturating_sub(*at).as_secs_f64().mul_add(a_second, *left)).min(burst);
        *at = now;
        if *left + TOLERANCE.as_secs_f64() * a_second >= 1.0 {
            *left -= 1.0;
            return Ok(());
        }
        Err(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fourth_request_within_a_second_is_refused_and_one_a_second_later_is_not() {
        let mut limits = Limits::default();
        let at = Duration::from_secs(100);
        for _ in 0..3 {
            assert_eq!(limits.take(Action::CreateMachine, "app", at), Ok(()));
        }
        assert_eq!(limits.take(Action::CreateMachine, "app", at), Err(1));
        assert_eq!(limits.take(Action::CreateMachine, "other", at), Ok(()));
        assert_eq!(limits.take(Action::CreateVolume, "app", at), Ok(()));
        assert_eq!(limits.take(Action::CreateMachine, "app", at + Duration::from_secs(1)), Ok(()));
        assert_eq!(limits.take(Action::CreateMachine, "app", at + Duration::from_secs(1)), Err(1));
    }
}
