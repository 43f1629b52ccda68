//! `[clients]`: how much one client of a registry may have under way, and which addresses are proxies.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::Serialize;

use super::{Environment, parse, parse_list, parse_within};
use crate::reader::Table;

/// Proxies, at most.
pub const MAX_PROXIES: usize = 64;
/// The largest bound that can be set: as much as no registry has under way.
pub const MAX_CLIENT_BOUND: u64 = 65_536;

macro_rules! bounds {
    ($($(#[doc = $doc:literal])+ $field:ident, $key:literal, $variable:literal, $default:literal;)+) => {
        /// How much one client may have under way before it is answered with 429: a client is an IPv4 address, or the first
        /// 64 bits of an IPv6 address. Each at least 1.
        #[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
        #[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
        pub struct ClientBounds {
            $($(#[doc = $doc])+ #[schemars(range(min = 1, max = 65_536))] pub $field: u64,)+
            /// Addresses of reverse proxies, at most 64: what the last entry of their `X-Forwarded-For` says is the client,
            /// and the connections are theirs, unbounded. Of nobody else that header counts.
            #[schemars(with = "Vec<String>")]
            pub proxies: Vec<IpAddr>,
        }

        impl Default for ClientBounds {
            fn default() -> Self {
                Self { $($field: $default,)+ proxies: Vec::new() }
            }
        }

        impl ClientBounds {
            /// Reads `[clients]` and `BRICKYARD_CLIENTS_…`; what is absent or wrong stays at its default.
            pub(super) fn read(root: &mut Table<'_>, env: &mut Environment<'_>) -> Self {
                let mut bounds = Self::default();
                if let Some(mut table) = root.table("clients") {
                    $(if let Some(value) = table.optional($key).and_then(|v| v.whole_within(1, MAX_CLIENT_BOUND)) {
                        bounds.$field = value;
                    })+
                    if let Some(proxies) = table.optional("proxies") {
                        bounds.proxies = proxies.parse_list(MAX_PROXIES);
                    }
                    table.finish();
                }
                $(if let Some(value) =
                    env.variable(concat!("CLIENTS_", $variable), |t| parse_within(t, 1, MAX_CLIENT_BOUND))
                {
                    bounds.$field = value;
                })+
                if let Some(proxies) = env.variable("CLIENTS_PROXIES", |t| parse_list(t, MAX_PROXIES, parse)) {
                    bounds.proxies = proxies;
                }
                bounds.proxies.iter_mut().for_each(|proxy| *proxy = proxy.to_canonical());
                bounds
            }
        }
    };
}

bounds! {
    /// Connections; 256 if absent.
    connections, "connections", "CONNECTIONS", 256;
    /// Connections that ask at the same time, again and again; 64 if absent.
    busy_connections, "busy-connections", "BUSY_CONNECTIONS", 64;
    /// Requests that are worked on; 96 if absent. Answers that lie ready in memory do not count.
    requests, "requests", "REQUESTS", 96;
    /// Entries that are received with their archives; 64 if absent.
    uploads, "uploads", "UPLOADS", 64;
    /// `git` processes, one for each clone or fetch; 8 if absent.
    git, "git", "GIT", 8;
}
