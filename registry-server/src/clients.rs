//! How much may one client have under way? A bound for each sort of work, so that a loud client does not starve the others.
//!
//! A client is an address; of IPv6 the first 64 bits, which one household or machine has to itself. Behind a reverse proxy
//! all clients come from its address: it is named in `[clients] proxies`, and whom it names counts then.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, Method, Request};
use brick_schemas::api::ProblemType;
use brick_schemas::registry_config::ClientBounds;
use tokio::sync::OwnedSemaphorePermit;

use crate::problem::Rejection;
use crate::turns::{MAX_TURNS, Turns};

/// Bytes of a proxy's `X-Forwarded-For` that are read, at most; a longer one names nobody.
const MAX_FORWARDED_BYTES: usize = 4_096;
/// How long somebody who asks for too much waits for being told so. Who asks again at once would otherwise cost as much as
/// whoever is answered.
pub const REFUSAL_PAUSE: Duration = Duration::from_millis(250);
/// A connection is busy that asks in one such span of time and in the one before.
const SPAN: Duration = Duration::from_millis(20);
/// Where spans are counted from.
static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Somebody who asks.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Client(IpAddr);

impl Client {
    /// The client at an address.
    pub fn at(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(address.into()),
            IpAddr::V6(address) => {
                let network = u128::from(address) & (u128::MAX << 64);
                Self(Ipv6Addr::from(network).into())
            }
        }
    }
}

/// Sorts of work that are bounded apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Work {
    /// A connection, whether it is used or not.
    Connection,
    /// A request that no kept answer was there for.
    Request,
    /// An entry that is received with its blobs, beside being a request.
    Upload,
    /// A `git` process, beside being a request.
    Git,
}

impl Work {
    fn plural(self) -> &'static str {
        match self {
            Self::Connection => "connections",
            Self::Request => "requests",
            Self::Upload => "uploads",
            Self::Git => "git processes",
        }
    }
}

/// Sorts of work.
const SORTS: usize = 4;

/// What every client has under way. Clients that have nothing are not remembered, so there are at most as many as
/// connections.
pub struct Clients {
    bounds: ClientBounds,
    under_way: Mutex<HashMap<Client, UnderWay>>,
}

/// What one client has under way.
#[derive(Default)]
struct UnderWay {
    counts: [u64; SORTS],
    busy: Arc<Busy>,
    turns: Arc<Turns>,
}

/// One piece of work under way; dropping it ends it.
pub struct Place {
    clients: Arc<Clients>,
    client: Client,
    work: Work,
}

impl Clients {
    /// Nothing is under way yet.
    pub fn new(bounds: ClientBounds) -> Arc<Self> {
        Arc::new(Self { bounds, under_way: Mutex::default() })
    }

    fn bound(&self, work: Work) -> u64 {
        match work {
            Work::Connection => self.bounds.connections,
            Work::Request => self.bounds.requests,
            Work::Upload => self.bounds.uploads,
            Work::Git => self.bounds.git,
        }
    }

    /// Whether an address is that of a proxy, which stands for many clients.
    pub fn is_proxy(&self, address: IpAddr) -> bool {
        self.bounds.proxies.contains(&address.to_canonical())
    }

    /// Who sent a request that came from `address`.
    pub fn who(&self, address: IpAddr, headers: &HeaderMap) -> Client {
        let named = self.is_proxy(address).then(|| last_forwarded(headers)).flatten();
        Client::at(named.unwrap_or(address))
    }

    /// Begins a piece of work; `None` where the client has as much under way as it may.
    pub fn begin(self: &Arc<Self>, client: Client, work: Work) -> Option<Place> {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = &mut under_way.entry(client).or_default().counts;
        let count = &mut counts[work as usize];
        if *count >= self.bound(work) {
            if *counts == [0; SORTS] {
                under_way.remove(&client);
            }
            return None;
        }
        *count += 1;
        drop(under_way);
        Some(Place { clients: self.clone(), client, work })
    }

    /// What a new connection of a client is counted with while it asks; the client has a place for it already.
    pub fn connection(&self, client: Client) -> Connection {
        let under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let (busy, turns) = match under_way.get(&client) {
            Some(client) => (client.busy.clone(), client.turns.clone()),
            None => Default::default(),
        };
        Connection {
            busy,
            turns,
            bound: self.bounds.busy_connections,
            asked: AtomicU64::new(0),
            new_in: AtomicU64::new(0),
        }
    }
}

/// Which of a client's connections ask all the time? So many at once that each waits for all others are no faster than
/// few, but everybody else waits for them.
#[derive(Default)]
struct Busy(Mutex<Spans>);

/// Connections that asked in the span of time that was looked at last, and in the one before.
#[derive(Default)]
struct Spans {
    span: u64,
    before: u64,
    now: u64,
    /// Of those in the span that was looked at last, the ones that were not there before.
    new: u64,
}

/// A connection that may or may not be busy.
pub struct Connection {
    busy: Arc<Busy>,
    turns: Arc<Turns>,
    bound: u64,
    /// The span in which it asked last; 0 is never.
    asked: AtomicU64,
    /// The span in which it was last not there before.
    new_in: AtomicU64,
}

impl Connection {
    /// Whether it may ask now. Those that were busy before go on; others only where there is room.
    ///
    /// # Errors
    /// [`Rejection`] with 429.
    pub fn ask(&self) -> Result<(), Rejection> {
        match self.ask_in(1 + (BEGINNING.elapsed().as_millis() / SPAN.as_millis()) as u64) {
            true => Ok(()),
            false => Err(too_much("busy connections", self.bound)),
        }
    }

    /// Waits for the client's turn to have an answer made; dropping what is returned ends it.
    ///
    /// # Errors
    /// [`Rejection`] with 429 where too many others of the client wait already.
    pub async fn turn(&self) -> Result<OwnedSemaphorePermit, Rejection> {
        self.turns.take().await.ok_or_else(|| too_much("answers", MAX_TURNS as u64))
    }

    fn ask_in(&self, span: u64) -> bool {
        let asked = self.asked.load(Ordering::Relaxed);
        if asked == span {
            return true;
        }
        let mut spans = self.busy.0.lock().unwrap_or_else(PoisonError::into_inner);
        if spans.span < span {
            let before = if spans.span + 1 == span { spans.now } else { 0 };
            *spans = Spans { span, before, now: 0, new: 0 };
        }
        let goes_on = asked != 0 && asked + 1 >= spans.span;
        if !goes_on {
            // Each that was there before may still come.
            if spans.before + spans.new >= self.bound {
                return false;
            }
            spans.new += 1;
            self.new_in.store(spans.span, Ordering::Relaxed);
        }
        spans.now += 1;
        self.asked.store(spans.span, Ordering::Relaxed);
        true
    }
}

impl Drop for Connection {
    /// One that has ended asks no more: a client that opens another for each question has one of them at a time.
    fn drop(&mut self) {
        let mut spans = self.busy.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (asked, span) = (*self.asked.get_mut(), spans.span);
        if asked == 0 {
            return;
        }
        if asked == span {
            spans.now = spans.now.saturating_sub(1);
        } else if asked + 1 == span {
            spans.before = spans.before.saturating_sub(1);
        }
        if *self.new_in.get_mut() == span {
            spans.new = spans.new.saturating_sub(1);
        } else if asked == span {
            // It was counted among those of before, too.
            spans.before = spans.before.saturating_sub(1);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut under_way = self.clients.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(UnderWay { counts, .. }) = under_way.get_mut(&self.client) {
            counts[self.work as usize] = counts[self.work as usize].saturating_sub(1);
            if *counts == [0; SORTS] {
                under_way.remove(&self.client);
            }
        }
    }
}

/// What a request is under way as; whoever works on after the answer's header holds on to it.
#[derive(Clone)]
pub struct Places(#[expect(dead_code, reason = "held, not read")] Arc<Vec<Place>>);

/// Begins a request.
///
/// # Errors
/// [`Rejection`] with 429 where the client has as much under way as it may.
pub fn begin<B>(clients: &Arc<Clients>, client: Client, request: &Request<B>) -> Result<Places, Rejection> {
    let mut places = Vec::with_capacity(2);
    for work in [Some(Work::Request), sort(request.method(), request.uri().path())].into_iter().flatten() {
        match clients.begin(client, work) {
            Some(place) => places.push(place),
            None => return Err(too_much(work.plural(), clients.bound(work))),
        }
    }
    Ok(Places(Arc::new(places)))
}

fn sort(method: &Method, path: &str) -> Option<Work> {
    match path {
        "/api/v1/entries" if method == Method::POST => Some(Work::Upload),
        path if path.starts_with("/git/") => Some(Work::Git),
        _ => None,
    }
}

fn too_much(what: &str, bound: u64) -> Rejection {
    Rejection::new(
        ProblemType::RateLimited,
        format!("your address has {bound} {what} under way, as many as it may"),
    )
}

/// The client that the last proxy saw: what stands before it in the header may come from anybody.
fn last_forwarded(headers: &HeaderMap) -> Option<IpAddr> {
    let line = headers.get_all("x-forwarded-for").iter().next_back()?;
    let line = line.to_str().ok().filter(|line| line.len() <= MAX_FORWARDED_BYTES)?;
    line.rsplit(',').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clients(bounds: ClientBounds) -> Arc<Clients> {
        Clients::new(bounds)
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_client_is_an_address_or_a_network_of_ipv6() {
        let same = |a, b| Client::at(address(a)) == Client::at(address(b));
        assert!(same("192.0.2.1", "::ffff:192.0.2.1"));
        assert!(!same("192.0.2.1", "192.0.2.2"));
        assert!(same("2001:db8:1:2::1", "2001:db8:1:2:ffff::"));
        assert!(!same("2001:db8:1:2::1", "2001:db8:1:3::1"));
    }

    #[test]
    fn one_client_over_its_bound_leaves_the_others_theirs() {
        let clients = clients(ClientBounds { requests: 2, uploads: 1, ..ClientBounds::default() });
        let (loud, quiet) = (Client::at(address("127.0.0.2")), Client::at(address("127.0.0.3")));
        let upload = || Request::post("/api/v1/entries").body(()).unwrap();
        let read = || Request::get("/api/v1/entries").body(()).unwrap();
        let first = begin(&clients, loud, &upload()).ok().unwrap();
        let refused = begin(&clients, loud, &upload()).err().unwrap();
        assert_eq!((refused.problem.status, refused.problem.problem_type), (429, ProblemType::RateLimited));
        let second = begin(&clients, loud, &read()).ok().unwrap();
        assert!(begin(&clients, loud, &read()).is_err());
        assert!(begin(&clients, quiet, &upload()).is_ok());
        drop(first);
        assert!(begin(&clients, loud, &upload()).is_ok());
        drop(second);
        assert!(clients.under_way.lock().unwrap().is_empty(), "who has nothing under way is forgotten");
    }

    #[test]
    fn busy_connections_go_on_and_further_ones_wait_until_one_rests() {
        let clients = clients(ClientBounds { busy_connections: 2, ..ClientBounds::default() });
        let (loud, quiet) = (Client::at(address("127.0.0.2")), Client::at(address("127.0.0.3")));
        let _places = [loud, quiet].map(|client| clients.begin(client, Work::Connection).unwrap());
        let connections: Vec<_> = (0..4).map(|_| clients.connection(loud)).collect();
        let ask = |span| connections.iter().map(|one| one.ask_in(span)).collect::<Vec<_>>();
        assert_eq!(ask(1), [true, true, false, false]);
        assert_eq!(ask(1), [true, true, false, false], "as often as they like");
        assert!(clients.connection(quiet).ask_in(1), "each client has a share of its own");
        assert!(!connections[3].ask_in(2), "a new span is no room for those that were not there");
        assert_eq!(ask(2), [true, true, false, false]);
        assert!(connections[1].ask_in(3), "one rests");
        assert_eq!([2, 3].map(|at| connections[at].ask_in(4)), [true, false], "another takes its place");
        assert_eq!(ask(9), [true, true, false, false], "after a pause nobody was there before");
    }

    #[test]
    fn a_connection_that_has_ended_leaves_its_place_to_another() {
        let clients = clients(ClientBounds { busy_connections: 2, ..ClientBounds::default() });
        let client = Client::at(address("127.0.0.2"));
        let _place = clients.begin(client, Work::Connection).unwrap();
        for span in [1, 1, 1, 1, 2, 2, 2, 3] {
            assert!(clients.connection(client).ask_in(span), "one after the other, in span {span}");
        }
        let stays = clients.connection(client);
        assert!(stays.ask_in(5) && stays.ask_in(6));
        for span in [6, 6, 6, 7, 7] {
            let other = clients.connection(client);
            assert!(other.ask_in(span), "beside one that stays, in span {span}");
            assert!(!clients.connection(client).ask_in(span), "but not two");
            assert!(stays.ask_in(span));
        }
    }

    #[test]
    fn only_a_proxy_that_is_named_says_for_whom_it_asks() {
        let bounds = ClientBounds { proxies: vec![address("10.0.0.1")], ..ClientBounds::default() };
        let clients = clients(bounds);
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", "6.6.6.6, 192.0.2.7".parse().unwrap());
        let who = |from| clients.who(address(from), &headers);
        assert_eq!(who("10.0.0.1"), Client::at(address("192.0.2.7")), "the last, which the proxy wrote");
        assert_eq!(who("10.0.0.2"), Client::at(address("10.0.0.2")), "anybody may write such a header");
        let mut nonsense = HeaderMap::new();
        nonsense.insert("x-forwarded-for", "somebody".parse().unwrap());
        assert_eq!(clients.who(address("10.0.0.1"), &nonsense), Client::at(address("10.0.0.1")));
    }
}
