//! Networks as settings name them.

use std::{fmt, net::IpAddr, str::FromStr};

use ipnet::{IpNet, Ipv4Net};
use serde::{Serialize, Serializer};

/// Of an IPv6 network that holds nothing but IPv4 addresses (`::ffff:0:0/96`).
const MAPPED_PREFIX: u8 = 96;

/// A network as `10.0.0.0/8` or `2001:db8::/32`, or one address; never all addresses there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network(IpNet);

impl Network {
    /// True if `address`, which is canonical, is in this network.
    pub(crate) fn contains(self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let network =
            text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from)).ok_or_else(
                || format!("must be a network as 10.0.0.0/8 or 2001:db8::/32, or an address, is {text:?}"),
            )?;
        if network.prefix_len() == 0 {
            return Err(format!(
                "must be the networks of your own proxies: with {text} anybody could claim any address"
            ));
        }
        Ok(Self(canonical(network)))
    }
}

/// Connections of IPv4 peers on an IPv6 socket are judged by their IPv4 address, so networks are too.
fn canonical(network: IpNet) -> IpNet {
    let IpNet::V6(v6) = network else { return network.trunc() };
    let v4 = v6.addr().to_ipv4_mapped().filter(|_| v6.prefix_len() > MAPPED_PREFIX);
    let v4 = v4.and_then(|address| Ipv4Net::new(address, v6.prefix_len() - MAPPED_PREFIX).ok());
    v4.map_or(network, IpNet::V4).trunc()
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::Network;

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_holds_its_addresses_and_an_address_only_itself() {
        for (text, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("10.1.2.3/8", "10.255.0.1", "11.0.0.1"),
            ("127.0.0.1", "127.0.0.1", "127.0.0.2"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1"),
            ("::1", "::1", "::2"),
            ("::ffff:10.0.0.0/104", "10.255.0.1", "::ffff:10.0.0.1"),
        ] {
            assert!(network(text).contains(inside.parse().unwrap()), "{text} {inside}");
            assert!(!network(text).contains(outside.parse().unwrap()), "{text} {outside}");
        }
        assert_eq!(network("10.1.2.3/8").to_string(), "10.0.0.0/8");
    }

    #[test]
    fn what_is_no_network_or_all_of_them_is_refused_with_its_value() {
        for text in ["", "proxy.example", "10.0.0.0/33", "10.0.0/8", "10.0.0.1:80", "0.0.0.0/0", "::/0"] {
            let refusal = text.parse::<Network>().unwrap_err();
            assert!(refusal.contains(text), "{refusal}");
        }
    }
}
