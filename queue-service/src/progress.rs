//! How far a long task is, for whoever sits before it.

use std::{
    io::{IsTerminal as _, Write as _, stderr},
    time::{Duration, Instant},
};

/// How often it is shown.
const EVERY: Duration = Duration::from_millis(100);
/// Characters of the bar.
const WIDTH: u64 = 40;

/// A bar on a terminal, and nothing elsewhere.
#[derive(Debug, Default)]
pub(crate) struct Bar {
    shown: Option<Instant>,
}

impl Bar {
    /// Shows how much of a total is done, if it is time to.
    pub(crate) fn show(&mut self, done: u64, total: u64) {
        let is_due = self.shown.is_none_or(|shown| shown.elapsed() >= EVERY);
        if is_due && stderr().is_terminal() {
            self.shown = Some(Instant::now());
            // Nobody depends on it.
            let _ = write!(stderr(), "\r{}", line(done, total));
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if self.shown.is_some() {
            let _ = writeln!(stderr());
        }
    }
}

fn line(done: u64, total: u64) -> String {
    let total = total.max(1);
    let done = done.min(total);
    let full = (WIDTH * done / total) as usize;
    let bar = format!("{}{}", "#".repeat(full), ".".repeat(WIDTH as usize - full));
    format!("[{bar}] {:3} % of {} MiB", done * 100 / total, total >> 20)
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn the_bar_is_as_full_as_the_task_is_done() {
        assert_eq!(line(0, 0), format!("[{}]   0 % of 0 MiB", ".".repeat(40)));
        assert_eq!(line(1 << 20, 2 << 20), format!("[{}{}]  50 % of 2 MiB", "#".repeat(20), ".".repeat(20)));
        assert_eq!(line(9, 3), format!("[{}] 100 % of 0 MiB", "#".repeat(40)));
    }
}
