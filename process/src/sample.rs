//! Few lines of many: a flood of refusals is no flood of lines.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Lets so many lines a second through, and counts the others.
#[derive(Debug)]
pub struct Sample {
    most: u32,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The second began then.
    since: Option<Instant>,
    told: u32,
    left_out: u64,
}

impl Sample {
    /// At most this many lines a second.
    pub fn new(most: u32) -> Self {
        Self { most, state: Mutex::new(State { since: None, told: 0, left_out: 0 }) }
    }

    /// How many lines were left out before this one; `None` if this one is to be left out as well.
    pub fn admit(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock();
        let is_over = |since: Instant| now.saturating_duration_since(since) >= Duration::from_secs(1);
        if state.since.is_none_or(is_over) {
            (state.since, state.told) = (Some(now), 0);
        }
        if state.told >= self.most {
            state.left_out += 1;
            return None;
        }
        state.told += 1;
        Some(std::mem::take(&mut state.left_out))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::Sample;

    #[test]
    fn so_many_lines_a_second_are_told_and_the_others_are_counted() {
        let (sample, begin) = (Sample::new(3), Instant::now());
        let told = (0..1_000).filter(|_| sample.admit(begin).is_some()).count();
        assert_eq!(told, 3);
        assert_eq!(sample.admit(begin + Duration::from_millis(999)), None);
        assert_eq!(sample.admit(begin + Duration::from_secs(1)), Some(998));
        assert_eq!(sample.admit(begin + Duration::from_secs(1)), Some(0));
    }
}
