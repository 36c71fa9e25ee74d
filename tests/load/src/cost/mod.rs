//! The bill: what a day costs in storage, counted in the original design and in this one, at given prices.
//!
//! Both are counted over the same day (see [`crate::day`]). This design's day is really run: the service counts what its
//! storage is asked, and `GetStats` tells. The original's is run through a model that counts (see [`original`]).

mod bill;
mod original;

pub(crate) use bill::{Bill, Operations, Prices};

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use repartee_proto::v1::GetStatsRequest;

use crate::{
    day::{Event, Kind, day},
    document,
    drive::{Limit, drive},
    error::Error,
    row::StorageCalls,
    scenario::{Mixed, Workers, people},
    settings::Cost,
    wire::{Grpc, stats},
    world::World,
};

/// How many connections the people of the day share.
const CONNECTIONS: u32 = 16;
/// Text of each message of the day, in bytes.
const TEXT_BYTES: u32 = 200;
/// How long the bots may take for the last answers.
const ANSWERED_WITHIN: Duration = Duration::from_secs(30);
/// Calls that are no part of the day: the start of the process, our own looking, and what comes by the clock.
pub(crate) const NOT_ASKED_FOR: [&str; 5] = ["Start", "GetStats", "Sessions", "SweepKeys", "SweepLog"];

/// Runs the day, and prints the bill.
///
/// # Errors
/// Where the servers cannot be started, or the day did not go well.
#[expect(clippy::print_stdout, reason = "the bill is what the command is for")]
pub(crate) async fn run(settings: Cost) -> Result<(), Error> {
    let text = bill(&settings).await?.to_markdown();
    println!("{text}");
    settings.write.as_deref().map_or(Ok(()), |file| document::replace(file, "cost", &text))
}

/// Runs the day, and writes the bill.
async fn bill(settings: &Cost) -> Result<Bill, Error> {
    let events = day(settings.users, settings.messages);
    let counted = count(settings, events.clone()).await?;
    let (original, timer) = original::count(&events, settings.original_keys);
    let users = f64::from(settings.users);
    Ok(Bill {
        prices: Prices {
            reads: settings.price_reads,
            writes: settings.price_writes,
            lists: settings.price_lists,
        },
        posts_a_day: f64::from(settings.messages),
        polls_a_day: events.iter().filter(|event| event.kind == Kind::Poll).count() as f64 / users,
        original_keys: settings.original_keys,
        users_run: settings.users,
        original_per_user: original.times(1.0 / users),
        original_timer: timer,
        repartee_per_user: counted.times(1.0 / users),
    })
}

/// Runs the day against the service, and counts.
async fn count(settings: &Cost, events: Vec<Event>) -> Result<Operations, Error> {
    let world = World::open(&settings.place, &[]).await?;
    let mut queue = world.operator().await?;
    let before = stats(&mut queue).await?;
    let workers = Workers::start(&world, 2, 16, TEXT_BYTES).await?;
    let posts = events.iter().filter(|event| event.kind == Kind::Post).count() as u64;
    let time = Duration::from_secs_f64(settings.seconds);
    let mixed = Arc::new(Mixed::new(events, settings.users, TEXT_BYTES));
    let limit = Limit { operations: u64::MAX, time: time + Duration::from_secs(1) };
    let people = people(&world, &mixed, CONNECTIONS).await?;
    let (measured, people) = drive(people, mixed.pace(time), limit).await;
    if let Some((name, count)) = measured.errors.first_key_value() {
        return Err(Error::Setting(format!(
            "the day did not go well: {count} × {name}; give it more --seconds"
        )));
    }
    until_answered(&mut queue, posts).await?;
    let after = stats(&mut queue).await?;
    drop((workers, people));
    world.close().await?;
    Ok(difference(&before, &after))
}

/// Waits until all messages are answered.
async fn until_answered(queue: &mut Grpc, posts: u64) -> Result<(), Error> {
    let begun = Instant::now();
    let mut look = tokio::time::interval(Duration::from_millis(20));
    while begun.elapsed() < ANSWERED_WITHIN {
        look.tick().await;
        let stats = queue.get_stats(GetStatsRequest::default()).await?.into_inner();
        if stats.pending + stats.processing == 0 {
            return Ok(());
        }
    }
    Err(Error::Setting(format!("not all of {posts} messages were answered after {ANSWERED_WITHIN:?}")))
}

fn difference(before: &StorageCalls, after: &StorageCalls) -> Operations {
    let mut operations = Operations::default();
    for (call, now) in after.iter().filter(|(call, _)| !NOT_ASKED_FOR.contains(&call.as_str())) {
        let then = before.get(call).copied().unwrap_or_default();
        operations.reads += (now[1] - then[1]) as f64;
        operations.writes += (now[2] - then[2]) as f64;
    }
    operations
}

#[cfg(test)]
mod tests {
    use super::{Operations, difference};

    #[test]
    fn what_the_day_cost_is_counted_by_call_without_what_is_not_of_the_day() {
        let before = [("Commit".to_owned(), [1, 0, 4]), ("GetStats".to_owned(), [1, 1, 0])].into();
        let after = [
            ("Commit".to_owned(), [11, 0, 44]),
            ("GetStats".to_owned(), [9, 9, 0]),
            ("GetConversation".to_owned(), [2, 2, 0]),
            ("SweepKeys".to_owned(), [1, 1, 0]),
        ];
        let expected = Operations { reads: 2.0, writes: 40.0, lists: 0.0 };
        assert_eq!(difference(&before, &after.into()), expected);
    }
}
