//! Sizes as people write them, `64MiB`: for the flags, variables and files of settings. Read by `bytesize`.

use std::{fmt, ops::RangeInclusive, str::FromStr};

use bytesize::ByteSize;
use serde::{Serialize, Serializer};

/// A number of bytes, written as `64MiB` (binary units, up to `EiB`), `50GB` (decimal units), `1.5GiB`, or as a bare number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

impl Size {
    /// The largest: 1 EiB. More is taken for a mistake.
    const LARGEST: Self = Self(1 << 60);
    const UNITS: [(&str, u32); 6] =
        [("EiB", 60), ("PiB", 50), ("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];

    /// So many MiB.
    pub const fn mib(count: u64) -> Self {
        Self(count << 20)
    }

    /// The parser of a flag whose size must lie in a range, in bytes.
    pub fn within(
        range: RangeInclusive<u64>,
    ) -> impl Fn(&str) -> Result<Self, String> + Clone + Send + Sync + 'static {
        let (least, most) = (Self(*range.start()), Self(*range.end()));
        move |text| {
            let size: Self = text.parse()?;
            let fits = least <= size && size <= most;
            fits.then_some(size).ok_or_else(|| format!("must be {least} to {most}, is {text:?}"))
        }
    }

    /// The parser of a flag whose size must have at least so many bytes.
    pub fn at_least(bytes: u64) -> impl Fn(&str) -> Result<Self, String> + Clone + Send + Sync + 'static {
        let least = Self(bytes);
        move |text| {
            let size: Self = text.parse()?;
            (size >= least).then_some(size).ok_or_else(|| format!("must be at least {least}, is {text:?}"))
        }
    }

    /// In memory: what does not fit there is as good as no limit.
    pub fn in_memory(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("must be a size such as 64MiB, 50GB or 4096, is {text:?}");
        // A sign is a mistake that `bytesize` would forgive.
        let begins = text.starts_with(|first: char| first.is_ascii_digit());
        let ByteSize(bytes) = text.parse().ok().filter(|_| begins).ok_or_else(wrong)?;
        let size = Self(bytes);
        // What is too much for 64 bits it takes for the largest number.
        (size <= Self::LARGEST)
            .then_some(size)
            .ok_or_else(|| format!("must be at most {}, is {text:?}", Self::LARGEST))
    }
}

/// In the largest unit that leaves nothing over: other than that of `bytesize`, this form is never rounded.
impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = Self::UNITS.into_iter().find(|(_, bits)| self.0 > 0 && self.0.trailing_zeros() >= *bits);
        match unit {
            Some((name, bits)) => write!(f, "{}{name}", self.0 >> bits),
            None => write!(f, "{}B", self.0),
        }
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{prop_assert_eq, proptest};

    use super::Size;

    #[test]
    fn a_size_is_taken_in_the_units_that_people_use() {
        for (text, bytes, shown) in [
            ("0", 0, "0B"),
            ("256B", 256, "256B"),
            ("65536", 65_536, "64KiB"),
            ("64 KiB", 65_536, "64KiB"),
            ("64mib", 64 << 20, "64MiB"),
            ("1.5GiB", 3 << 29, "1536MiB"),
            ("50GB", 50_000_000_000, "48828125KiB"),
            ("1EiB", 1 << 60, "1EiB"),
        ] {
            let size: Size = text.parse().unwrap();
            assert_eq!((size.0, size.to_string().as_str()), (bytes, shown), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_or_too_much_is_refused_with_its_value() {
        for wrong in
            ["", "much", "-1", "+5", "5 GiBi", "1e9", "64M iB", ".5MiB", "2EiB", "99999999999999999999"]
        {
            let refusal = wrong.parse::<Size>().unwrap_err();
            assert!(refusal.contains(&format!("is {wrong:?}")), "{refusal}");
        }
        let kept = Size::within(65_536..=1 << 32);
        assert_eq!(kept("1KiB"), Err("must be 64KiB to 4GiB, is \"1KiB\"".to_owned()));
        assert_eq!(Size::at_least(1 << 20)("1MB"), Err("must be at least 1MiB, is \"1MB\"".to_owned()));
    }

    proptest! {
        #[test]
        fn a_size_is_read_as_it_is_written(bytes in 0..=Size::LARGEST.0) {
            prop_assert_eq!(Size(bytes).to_string().parse(), Ok(Size(bytes)));
        }
    }
}
