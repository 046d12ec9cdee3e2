//! A limit on failed authentication for each client address.
//!
//! An address whose calls were answered 401 too often gets 429 until its minute is over, before the credential is looked
//! up. Several clients may share an address, for example workers behind one gateway. So a credential that was accepted a
//! short time ago is not limited. The state belongs to one instance of a function.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use af_domain::refusal::{Code, Refusal};
use af_domain::time::Millis;
use af_runtime::metric::Metric;
use axum::extract::Request;
use axum::response::Response;
use http::header::AUTHORIZATION;
use http::{HeaderName, StatusCode};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::problem::Problem;

/// The most failures of an address in one window.
const MAX_FAILURES: u32 = 60;
/// The length of a window.
const WINDOW: Duration = Duration::from_secs(60);
/// How long an accepted credential is not limited.
const ACCEPTED_FOR: Duration = Duration::from_secs(600);
/// The most entries of each kind. A full map loses the oldest one. An attacker with that many addresses is not limited.
const MAX_ENTRIES: usize = 4_096;
/// The header of Telegram with the secret of a webhook.
const WEBHOOK_SECRET: HeaderName = HeaderName::from_static("x-telegram-bot-api-secret-token");
/// The first segment of paths that have a worker's token as their second segment.
const TOKEN_PATH: &str = "w";

/// The mark of a response that has another status than 401, although the credential was refused.
#[derive(Clone, Copy, Debug)]
pub struct RefusedCredential;

/// The address of the client, which the server or the gateway has seen. Without it, a call is not limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientAddress(pub IpAddr);

impl ClientAddress {
    /// The addresses that belong to one client: a provider gives each of its customers 64 bits of an IPv6 address.
    fn network(self) -> Self {
        match self.0 {
            IpAddr::V4(_) => self,
            IpAddr::V6(address) => {
                let network = address.to_ipv4_mapped().map_or_else(
                    || IpAddr::V6((address.to_bits() & !u128::from(u64::MAX)).into()),
                    IpAddr::V4,
                );
                Self(network)
            }
        }
    }
}

/// The failures and the accepted credentials of one function.
#[derive(Default)]
pub(crate) struct AuthLimit(Mutex<State>);

#[derive(Default)]
struct State {
    failures: HashMap<ClientAddress, Failures>,
    /// The hashes of credentials, and when they were accepted.
    accepted: HashMap<[u8; 32], Instant>,
}

struct Failures {
    since: Instant,
    count: u32,
}

/// A call, as the limit sees it.
pub(crate) struct Call {
    address: ClientAddress,
    credential: Option<[u8; 32]>,
}

impl Call {
    /// `None` for a call without a known address.
    pub(crate) fn of(request: &Request) -> Option<Self> {
        let address = request.extensions().get::<ClientAddress>()?.network();
        let header = |name| request.headers().get(name).map(http::HeaderValue::as_bytes);
        let in_path = || {
            let mut segments = request.uri().path().split('/').skip(1);
            segments.next().filter(|first| *first == TOKEN_PATH).and_then(|_| segments.next())
        };
        let credential = header(AUTHORIZATION).or_else(|| header(WEBHOOK_SECRET));
        let credential = credential.or_else(|| in_path().map(str::as_bytes));
        Some(Self { address, credential: credential.map(|text| Sha256::digest(text).into()) })
    }
}

impl AuthLimit {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the refusal of a call whose address has failed too often.
    pub(crate) fn check(&self, call: &Call) -> Option<Problem> {
        let (mut state, now) = (self.state(), Instant::now());
        let accepted = call.credential.and_then(|credential| state.accepted.get(&credential));
        if accepted.is_some_and(|at| now.duration_since(*at) < ACCEPTED_FOR) {
            return None;
        }
        let failures = state.failures.get(&call.address)?;
        let left = WINDOW.saturating_sub(now.duration_since(failures.since));
        if left.is_zero() {
            state.failures.remove(&call.address);
            return None;
        }
        (failures.count >= MAX_FAILURES).then(|| {
            Metric::AuthRejected.count();
            tracing::warn!("call of an address with too many failures");
            let detail = "too many calls of this address had no valid key or token";
            let wait = Millis::new(u64::try_from(left.as_millis()).unwrap_or(u64::MAX));
            Refusal::new(Code::RateLimited, detail).after(wait).into()
        })
    }

    /// Records how a call was answered.
    pub(crate) fn record(&self, call: &Call, response: &Response) {
        let (mut state, now) = (self.state(), Instant::now());
        let is_refused = response.status() == StatusCode::UNAUTHORIZED
            || response.extensions().get::<RefusedCredential>().is_some();
        if !is_refused {
            // Only a success shows that the credential is valid: a route without a credential answers 404 to anything.
            if let Some(credential) = call.credential.filter(|_| response.status().is_success()) {
                make_room(&mut state.accepted, |at| *at);
                state.accepted.insert(credential, now);
            }
            return;
        }
        make_room(&mut state.failures, |failures| failures.since);
        let failures = state.failures.entry(call.address).or_insert(Failures { since: now, count: 0 });
        if now.duration_since(failures.since) >= WINDOW {
            *failures = Failures { since: now, count: 0 };
        }
        failures.count += 1;
    }
}

/// Removes the oldest entry of a full map.
fn make_room<K: Copy + Eq + Hash, V>(entries: &mut HashMap<K, V>, since: impl Fn(&V) -> Instant) {
    if entries.len() < MAX_ENTRIES {
        return;
    }
    let oldest = entries.iter().min_by_key(|(_, value)| since(value)).map(|(key, _)| *key);
    if let Some(key) = oldest {
        entries.remove(&key);
    }
}
