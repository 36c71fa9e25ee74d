//! How large the cache may be: as it is set, or by the memory that the process may take.

use std::{fmt, str::FromStr};

use repartee_process::{Size, memory_limit};
use serde::{Serialize, Serializer};

/// What is set for "by the memory limit".
const AUTO: &str = "auto";
/// The smallest cache.
const LEAST: Size = Size::mib(1);
/// The cache if `auto` finds no limit, which is also the default.
const USUAL: Size = Size::mib(100);
/// Which part of the memory limit `auto` takes. As much again may be unfinished messages, and the rest is for answers on their way,
/// connections, the storage engine and the allocator.
const SHARE: u64 = 4;

/// The most bytes in the cache, by estimate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheBytes {
    /// As it was set.
    Set(Size),
    /// A quarter of the process's memory limit; 100 MiB if there is none.
    Auto {
        /// The limit that was found.
        limit: Option<Size>,
    },
}

impl CacheBytes {
    /// The size.
    pub fn size(self) -> Size {
        match self {
            Self::Set(size) => size,
            Self::Auto { limit: Some(Size(limit)) } => Size(limit / SHARE).max(LEAST),
            Self::Auto { limit: None } => USUAL,
        }
    }
}

impl Default for CacheBytes {
    fn default() -> Self {
        Self::Set(USUAL)
    }
}

impl FromStr for CacheBytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == AUTO {
            return Ok(Self::Auto { limit: memory_limit() });
        }
        let size: Size = text.parse().map_err(|wrong| format!("{wrong}; or {AUTO}"))?;
        let large = (size >= LEAST).then_some(Self::Set(size));
        large.ok_or_else(|| format!("must be at least {LEAST}, or {AUTO}, is {text:?}"))
    }
}

impl fmt::Display for CacheBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.size();
        match self {
            Self::Set(_) => size.fmt(f),
            Self::Auto { limit: Some(limit) } => {
                write!(f, "{AUTO}: {size}, a quarter of the memory limit, {limit}")
            }
            Self::Auto { limit: None } => write!(f, "{AUTO}: {size}, for there is no memory limit"),
        }
    }
}

impl Serialize for CacheBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use repartee_process::Size;

    use super::CacheBytes;

    #[test]
    fn a_size_is_taken_as_it_is_set() {
        assert_eq!("64MiB".parse(), Ok(CacheBytes::Set(Size::mib(64))));
        assert_eq!("64MiB".parse::<CacheBytes>().unwrap().to_string(), "64MiB");
        for (wrong, told) in [("1KiB", "at least 1MiB"), ("most", "or auto"), ("Auto", "or auto")] {
            let refusal = wrong.parse::<CacheBytes>().unwrap_err();
            assert!(refusal.contains(told) && refusal.contains(wrong), "{refusal}");
        }
    }

    #[test]
    fn auto_takes_a_quarter_of_the_memory_limit_and_says_so() {
        let limited = CacheBytes::Auto { limit: Some(Size::mib(512)) };
        assert_eq!(limited.size(), Size::mib(128));
        assert_eq!(limited.to_string(), "auto: 128MiB, a quarter of the memory limit, 512MiB");
        assert_eq!(
            CacheBytes::Auto { limit: Some(Size::mib(2)) }.size(),
            Size::mib(1),
            "never less than the least"
        );
    }

    #[test]
    fn auto_without_a_limit_is_the_default() {
        let unlimited = CacheBytes::Auto { limit: None };
        assert_eq!(unlimited.size(), CacheBytes::default().size());
        assert_eq!(unlimited.to_string(), "auto: 100MiB, for there is no memory limit");
        assert!(matches!("auto".parse(), Ok(CacheBytes::Auto { .. })));
    }
}
