//! How the log names a client.

use clap::ValueEnum;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::client::Client;

/// Bytes of a hash that are shown: two of 65,536 clients are confused once in two billion.
const SHOWN: usize = 8;

/// How the log names the clients of requests that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogAddresses {
    /// By their address.
    Plain,
    /// By a keyed hash of their address: the same client has the same one until the gateway is restarted.
    Hashed,
    /// Not at all.
    Off,
}

/// Names clients as a setting says.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Addresses {
    Plain,
    Hashed { key: [u8; 32] },
    Off,
}

impl From<LogAddresses> for Addresses {
    fn from(setting: LogAddresses) -> Self {
        match setting {
            LogAddresses::Plain => Self::Plain,
            LogAddresses::Hashed => Self::Hashed { key: rand::random() },
            LogAddresses::Off => Self::Off,
        }
    }
}

impl Addresses {
    pub(super) fn name(&self, client: Client) -> Option<String> {
        match self {
            Self::Plain => Some(client.address.to_string()),
            // Key and address are of fixed length: nobody can append to what was hashed.
            Self::Hashed { key } => {
                let hash = Sha256::new().chain_update(key).chain_update(client.key.to_bytes()).finalize();
                Some(hex::encode(&hash[..SHOWN]))
            }
            Self::Off => None,
        }
    }
}
