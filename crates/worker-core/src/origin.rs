//! Which web pages may open WebSockets: the check of the `Origin` header (RFC 6454, RFC 6455
//! section 10.2).

use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// Which origins a server accepts. Programs other than browsers send no `Origin` and are not
/// concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowedOrigins {
    /// Every origin.
    Any,
    /// The origins of this list, in lower case, such as `https://example.com`.
    Listed(HashSet<String>),
}

impl AllowedOrigins {
    /// A list; upper and lower case are the same.
    pub fn listed(origins: impl IntoIterator<Item = String>) -> Self {
        Self::Listed(origins.into_iter().map(|origin| origin.to_ascii_lowercase()).collect())
    }

    /// Whether `origin`, the value of the header, is accepted.
    pub fn accepts(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(origins) => origins.contains(&origin.to_ascii_lowercase()),
        }
    }
}

/// Whether the page of `origin` comes from this machine, or from the host that `host` (the value
/// of the `Host` header) names. The ports may differ.
pub fn is_local_or_same_host(origin: &str, host: &str) -> bool {
    let Some((_, authority)) = origin.split_once("://") else { return false };
    let Some(name) = host_name(authority) else { return false };
    is_loopback(name) || host_name(host).is_some_and(|host| host.eq_ignore_ascii_case(name))
}

/// The host of `host[:port]`. `None`: it is malformed.
fn host_name(authority: &str) -> Option<&str> {
    let (name, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (address, after) = rest.split_once(']')?;
            address.parse::<Ipv6Addr>().ok()?;
            (address, after)
        }
        None => {
            let (name, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
            (is_name(name).then_some(name)?, port)
        }
    };
    let is_port = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    let is_well_formed = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
    is_well_formed.then_some(name)
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

/// `localhost`, its subdomains (RFC 6761), and the loopback addresses.
fn is_loopback(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    lower == "localhost"
        || lower.ends_with(".localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| match address {
            IpAddr::V4(v4) => v4.is_loopback(),
            IpAddr::V6(v6) => {
                v6.is_loopback() || v6.to_ipv4_mapped().is_some_and(|v4| Ipv4Addr::is_loopback(&v4))
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_this_machine_are_local() {
        for origin in [
            "http://localhost",
            "http://LocalHost:3000",
            "https://app.localhost",
            "http://127.0.0.1:5173",
            "http://127.9.9.9",
            "http://[::1]:8080",
            "http://[::ffff:127.0.0.1]",
        ] {
            assert!(is_local_or_same_host(origin, "server.example:19100"), "{origin}");
        }
    }

    #[test]
    fn pages_of_the_requests_own_host_are_the_same_host_whatever_their_port() {
        for (origin, host) in [
            ("https://server.example", "server.example"),
            ("https://Server.Example:8443", "server.example:19100"),
            ("http://10.0.0.7", "10.0.0.7:19100"),
            ("http://[2001:db8::1]:3000", "[2001:db8::1]:19100"),
        ] {
            assert!(is_local_or_same_host(origin, host), "{origin} at {host}");
        }
    }

    #[test]
    fn other_pages_are_neither() {
        for origin in [
            "https://evil.example",
            "https://localhost.evil.example",
            "https://127.0.0.1.evil.example",
            "https://server.example.evil.example",
            "https://evil.example/localhost",
            "https://localhost@evil.example",
            "https://evil.example:80:localhost",
            "https://[::1].evil.example",
            "https://[evil]",
            "https://[::1",
            "https://:3000",
            "http://2130706433",
            "chrome-extension://abcdefgh",
            "file://",
            "null",
            "localhost",
            "",
        ] {
            assert!(!is_local_or_same_host(origin, "server.example:19100"), "{origin}");
        }
        assert!(!is_local_or_same_host("http://", ""), "nothing is not the same as nothing");
    }

    #[test]
    fn a_list_accepts_its_origins_only() {
        let listed = AllowedOrigins::listed(["https://App.example".to_owned(), "null".to_owned()]);
        assert!(listed.accepts("https://app.EXAMPLE"));
        assert!(listed.accepts("null"));
        assert!(!listed.accepts("https://app.example:444"));
        assert!(!listed.accepts("http://localhost"));
        assert!(!AllowedOrigins::listed([]).accepts("null"));
        assert!(AllowedOrigins::Any.accepts("https://evil.example"));
    }
}
