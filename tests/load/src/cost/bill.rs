//! The bill as arithmetic: counted operations, times users, times days, times prices.

use crate::table::{number, table};

const DAYS: f64 = 30.0;
/// For how many users the bill is written.
const USERS: [u32; 4] = [1, 1_000, 10_000, 100_000];

/// Storage operations.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Operations {
    /// Keys or ranges read.
    pub(crate) reads: f64,
    /// Keys written or removed.
    pub(crate) writes: f64,
    /// List requests.
    pub(crate) lists: f64,
}

/// Dollars for a million operations.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Prices {
    /// Of keys read.
    pub(crate) reads: f64,
    /// Of keys written or removed.
    pub(crate) writes: f64,
    /// Of list requests.
    pub(crate) lists: f64,
}

/// All that the bill is made of.
#[derive(Debug, Clone)]
pub(crate) struct Bill {
    pub(crate) prices: Prices,
    /// Posts of one user in a day.
    pub(crate) posts_a_day: f64,
    /// Polls of one user in a day.
    pub(crate) polls_a_day: f64,
    /// Keys that a poll of the original reads.
    pub(crate) original_keys: u64,
    /// Users of the day that was run.
    pub(crate) users_run: u32,
    /// One user's day in the original.
    pub(crate) original_per_user: Operations,
    /// A day of the original's timer, whoever is there.
    pub(crate) original_timer: Operations,
    /// One user's day in this design.
    pub(crate) repartee_per_user: Operations,
}

impl Operations {
    /// So many times these.
    pub(crate) fn times(self, factor: f64) -> Self {
        Self { reads: self.reads * factor, writes: self.writes * factor, lists: self.lists * factor }
    }

    /// These and others.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            reads: self.reads + other.reads,
            writes: self.writes + other.writes,
            lists: self.lists + other.lists,
        }
    }
}

impl Prices {
    /// What these operations cost, in dollars.
    pub(crate) fn of(&self, operations: Operations) -> f64 {
        let millions = operations.times(1e-6);
        millions.reads * self.reads + millions.writes * self.writes + millions.lists * self.lists
    }
}

impl Bill {
    /// A month of so many users in the original.
    fn original(&self, users: u32) -> Operations {
        self.original_per_user.times(f64::from(users)).and(self.original_timer).times(DAYS)
    }

    /// A month of so many users in this design.
    fn repartee(&self, users: u32) -> Operations {
        self.repartee_per_user.times(f64::from(users) * DAYS)
    }

    /// The bill in Markdown, with what it is made of.
    pub(crate) fn to_markdown(&self) -> String {
        let mut rows = Vec::new();
        for users in USERS {
            for (design, month) in [("original", self.original(users)), ("Repartee", self.repartee(users))] {
                let counts = [month.reads, month.writes, month.lists].map(number);
                let dollars = format!("${}", dollars(self.prices.of(month)));
                rows.push(
                    [vec![number(f64::from(users)), design.to_owned()], counts.to_vec(), vec![dollars]]
                        .concat(),
                );
            }
        }
        let head = ["users", "design", "reads a month", "writes a month", "lists a month", "a month"];
        format!("{}\n\n{}", self.terms(), table(&head, &rows))
    }

    fn terms(&self) -> String {
        let Prices { reads, writes, lists } = self.prices;
        format!(
            "Prices: ${reads:.2}, ${writes:.2} and ${lists:.2} for a million reads, writes and lists. One user's day: \
             {:.0} posts, each answered, and {:.0} polls. Original: {} keys read a poll, and a timer that scans every 3 s. \
             Repartee: counted by GetStats over the day of {} users: {:.1} reads and {:.1} writes for one user.",
            self.posts_a_day,
            self.polls_a_day,
            number(self.original_keys as f64),
            self.users_run,
            self.repartee_per_user.reads,
            self.repartee_per_user.writes,
        )
    }
}

fn dollars(amount: f64) -> String {
    if amount < 100.0 { format!("{amount:.2}") } else { number(amount) }
}

#[cfg(test)]
mod tests {
    use super::{Bill, Operations, Prices};

    fn bill() -> Bill {
        Bill {
            prices: Prices { reads: 0.5, writes: 5.0, lists: 5.0 },
            posts_a_day: 20.0,
            polls_a_day: 400.0,
            original_keys: 1_841,
            users_run: 20,
            original_per_user: Operations { reads: 1_000_000.0, writes: 80.0, lists: 800.0 },
            original_timer: Operations { reads: 50_000_000.0, writes: 0.0, lists: 0.0 },
            repartee_per_user: Operations { reads: 0.0, writes: 280.0, lists: 0.0 },
        }
    }

    #[test]
    fn a_month_is_thirty_days_of_all_users_and_of_the_timer() {
        let month = bill().original(1_000);
        assert_eq!((month.reads, month.writes, month.lists), (31.5e9, 2.4e6, 24e6));
        assert_eq!(bill().repartee(1_000).writes, 8.4e6);
    }

    #[test]
    fn dollars_are_operations_times_prices() {
        let operations = Operations { reads: 2e6, writes: 1e6, lists: 3e6 };
        assert_eq!(bill().prices.of(operations), 1.0 + 5.0 + 15.0);
    }

    #[test]
    fn the_bill_has_a_line_for_each_design_and_number_of_users() {
        let text = bill().to_markdown();
        assert_eq!(text.lines().filter(|line| line.starts_with('|')).count(), 2 + 8);
        let last = text.lines().last().unwrap();
        assert!(last.contains("100,000") && last.contains("Repartee") && last.contains("$4,200"), "{last}");
    }
}
