//! When is it worth asking again?

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Duration;

use crate::error::{AskError, Unreachable};

/// The longest that a registry can make a client wait; what asks for more is given up.
pub(crate) const MAX_PAUSE: Duration = Duration::from_secs(20);

/// How long to wait before asking again after `err`; `None` when it would not help.
///
/// - `attempt`: how many times it was asked so far, from 1.
/// - `first`: the pause after the first attempt; it doubles with each, and a quarter of it is random, so that clients
///   that failed together do not come back together.
pub(crate) fn pause_after(err: &AskError, attempt: u32, first: Duration) -> Option<Duration> {
    let asked_for = match err {
        // A name or certificate that is wrong now is wrong in a second.
        AskError::Unreachable { why: Unreachable::Name | Unreachable::Certificate, .. } => return None,
        AskError::Unreachable { .. } => Duration::ZERO,
        AskError::Problem { status: 502..=504, retry_after, .. } => retry_after.unwrap_or(Duration::ZERO),
        _ => return None,
    };
    if asked_for > MAX_PAUSE {
        return None;
    }
    let doubled = first.saturating_mul(1 << attempt.saturating_sub(1).min(16));
    let random = doubled.mul_f64(random_quarter());
    Some(asked_for.max(doubled.saturating_add(random)).min(MAX_PAUSE))
}

/// Between 0 and 0.25; not for secrets.
fn random_quarter() -> f64 {
    f64::from(RandomState::new().build_hasher().finish() as u16) / f64::from(u16::MAX) / 4.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::problem_of_status;

    fn busy(status: u16, retry_after: Option<u64>) -> AskError {
        AskError::Problem {
            url: "http://a.example/".into(),
            status,
            problem: Box::new(problem_of_status(status)),
            retry_after: retry_after.map(Duration::from_secs),
        }
    }

    #[test]
    fn only_what_passes_by_itself_is_asked_again() {
        let first = Duration::from_millis(100);
        for status in [502, 503, 504] {
            let pause = pause_after(&busy(status, None), 1, first).unwrap();
            assert!((first..=first * 5 / 4).contains(&pause), "{pause:?}");
        }
        for status in [400, 404, 409, 429, 500, 501] {
            assert_eq!(pause_after(&busy(status, None), 1, first), None);
        }
    }

    #[test]
    fn the_registry_is_given_the_time_it_asks_for_within_bounds() {
        let first = Duration::from_millis(100);
        assert_eq!(pause_after(&busy(503, Some(7)), 1, first), Some(Duration::from_secs(7)));
        assert_eq!(pause_after(&busy(503, Some(3600)), 1, first), None);
        assert_eq!(pause_after(&busy(503, None), 60, Duration::from_secs(60)), Some(MAX_PAUSE));
    }
}
