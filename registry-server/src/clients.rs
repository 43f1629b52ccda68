//! How much may one client have under way? A bound for each sort of work, so that a loud client does not starve the others.
//!
//! A client is an address; of IPv6 the first 64 bits, which one household or machine has to itself. Behind a reverse proxy
//! all clients come from its address: it is named in `[clients] proxies`, and whom it names counts then.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::{HeaderMap, Method, Request};
use brick_schemas::api::ProblemType;
use brick_schemas::registry_config::ClientBounds;

use crate::problem::Rejection;

/// Bytes of a proxy's `X-Forwarded-For` that are read, at most; a longer one names nobody.
const MAX_FORWARDED_BYTES: usize = 4_096;

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

/// Sorts of work.
const SORTS: usize = 4;

/// What every client has under way. Clients that have nothing are not remembered, so there are at most as many as
/// connections.
pub struct Clients {
    bounds: ClientBounds,
    under_way: Mutex<HashMap<Client, [u64; SORTS]>>,
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
        let counts = under_way.entry(client).or_default();
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
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut under_way = self.clients.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(counts) = under_way.get_mut(&self.client) {
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
            None => return Err(too_much(work, clients.bound(work))),
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

fn too_much(work: Work, bound: u64) -> Rejection {
    let what = match work {
        Work::Connection => "connections",
        Work::Request => "requests",
        Work::Upload => "uploads",
        Work::Git => "git processes",
    };
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
