//! For whom a request is meant. A web page that somebody opens can make a browser ask this endpoint, under a name of
//! the page's choice that resolves to this machine (DNS rebinding), and read the answer as if it were its own. The
//! browser says that name in `Host`, so requests for unknown names are not answered.

use hyper::header::HOST;
use hyper::http::uri::Authority;
use hyper::{HeaderMap, Uri, Version};
use std::net::IpAddr;
use thiserror::Error;

/// Why a request is not answered here.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum HostError {
    /// It names no host, or several, or none that can be read.
    #[error("the request does not say for which host it is, in one Host header")]
    Unclear,
    /// It is for another host.
    #[error(
        "`{0}` is not a name of this endpoint; use its address or localhost, or add the name to `admin_hosts` in \
         node.toml"
    )]
    Misdirected(String),
}

/// The names that this endpoint answers to, beside every IP address and `localhost`. An address cannot be made to
/// point elsewhere, so there is nothing to check about one.
#[derive(Clone, Debug, Default)]
pub(super) struct Hosts(Vec<String>);

impl Hosts {
    pub(super) fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self(names.into_iter().map(|name| name.to_ascii_lowercase()).collect())
    }

    /// Whether a request is for this endpoint. What a request line names comes before the header (RFC 9112, 3.2.2).
    pub(super) fn check(
        &self,
        version: Version,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<(), HostError> {
        let mut hosts = headers.get_all(HOST).iter();
        let host = match (uri.authority(), hosts.next(), hosts.next()) {
            (_, _, Some(_)) => return Err(HostError::Unclear),
            (Some(authority), _, None) => authority.clone(),
            (None, Some(host), None) => {
                Authority::try_from(host.as_bytes()).map_err(|_| HostError::Unclear)?
            }
            // No browser speaks that.
            (None, None, None) if version <= Version::HTTP_10 => return Ok(()),
            (None, None, None) => return Err(HostError::Unclear),
        };
        match self.is_own(host.host()) {
            true => Ok(()),
            false => Err(HostError::Misdirected(host.host().to_owned())),
        }
    }

    fn is_own(&self, host: &str) -> bool {
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        bare.parse::<IpAddr>().is_ok() || name == "localhost" || self.0.contains(&name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn check(version: Version, uri: &str, hosts: &[&str]) -> Result<(), HostError> {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(HOST, HeaderValue::from_str(host).expect("a header"));
        }
        let uri = uri.parse().expect("a URI");
        Hosts::new(["Node-1.example".to_owned()]).check(version, &uri, &headers)
    }

    /// Outside fault F12: A name that somebody points at this machine is answered.
    #[test]
    fn addresses_and_known_names_are_answered_and_no_others() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:7100",
            "10.1.2.3:7100",
            "[::1]:7100",
            "localhost:7100",
            "LOCALHOST.",
            "node-1.example:7100",
        ] {
            assert_eq!(check(Version::HTTP_11, "/live", &[host]), Ok(()), "{host}");
        }
        for host in
            ["evil.example", "evil.example:7100", "localhost.evil.example", "127.0.0.1.nip.io"]
        {
            let name = host.split(':').next().unwrap_or_default().to_owned();
            let refused = Err(HostError::Misdirected(name));
            assert_eq!(check(Version::HTTP_11, "/live", &[host]), refused, "{host}");
        }
    }

    #[test]
    fn a_request_says_for_whom_it_is_once() {
        let unclear = Err(HostError::Unclear);
        assert_eq!(check(Version::HTTP_11, "/live", &[]), unclear);
        assert_eq!(check(Version::HTTP_11, "/live", &["a b"]), unclear);
        assert_eq!(check(Version::HTTP_11, "/live", &["localhost", "evil.example"]), unclear);
        assert_eq!(check(Version::HTTP_10, "/live", &[]), Ok(()));
        let evil = Err(HostError::Misdirected("evil.example".to_owned()));
        assert_eq!(check(Version::HTTP_11, "http://evil.example/live", &["localhost"]), evil);
    }
}
