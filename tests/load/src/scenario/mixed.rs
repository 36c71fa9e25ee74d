//! The real day, compressed in time: people post and poll over JSON when the day's plan says so, bots answer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use hyper::body::Bytes;

use super::{Load, Workers, post::comment};
use crate::{
    access::Who,
    day::{DAY, Event, Kind, day},
    drive::{Client, Measured, Outcome, drive},
    error::Error,
    pace::Pace,
    seed::DOMAIN,
    wire::{Answer, Json},
    world::World,
};

/// The day takes this long. A load of a minute is six hours of it.
const COMPRESSED: Duration = Duration::from_secs(240);
/// Bots, and how many messages each works on at the same time.
const BOTS: (usize, u32) = (4, 16);
/// Each poll asks for all that is new, so that nobody falls behind.
const PAGE: u32 = 1_000;

/// The day and the people in it.
#[derive(Debug)]
pub(crate) struct Mixed {
    events: Vec<Event>,
    /// The newest timestamp that each person has seen.
    seen: Vec<AtomicI64>,
    text_bytes: u32,
}

/// One connection that does what is due, for whomever.
pub(crate) struct Someone {
    connection: Json,
    day: Arc<Mixed>,
}

pub(super) async fn measure(world: &World, load: &Load) -> Result<Measured, Error> {
    let day = Mixed::new(day(load.users, 20), load.users, load.text_bytes);
    let pace = day.pace(COMPRESSED);
    let workers = Workers::start(world, BOTS.0, BOTS.1, load.text_bytes).await?;
    let people = people(world, &Arc::new(day), load.clients).await?;
    let measured = drive(people, pace, load.limit).await.0;
    drop(workers);
    Ok(measured)
}

/// Connections for the people of a day.
///
/// # Errors
/// Where the gateway cannot be reached.
pub(crate) async fn people(world: &World, day: &Arc<Mixed>, clients: u32) -> Result<Vec<Someone>, Error> {
    let connections = world.json(Who::Visitor, clients as usize).await?;
    Ok(connections.into_iter().map(|connection| Someone { connection, day: Arc::clone(day) }).collect())
}

impl Mixed {
    /// A day of `users` people.
    pub(crate) fn new(events: Vec<Event>, users: u32, text_bytes: u32) -> Self {
        Self { events, seen: (0..users).map(|_| AtomicI64::new(1)).collect(), text_bytes }
    }

    /// When each event is due where the day takes `compressed`.
    pub(crate) fn pace(&self, compressed: Duration) -> Pace {
        let factor = compressed.as_secs_f64() / DAY.as_secs_f64();
        Pace::Plan(self.events.iter().map(|event| event.at.mul_f64(factor)).collect())
    }

    fn comment(&self, user: u32) -> Bytes {
        comment(&format!("Human {user}"), self.text_bytes, true)
    }
}

impl Client for Someone {
    async fn once(&mut self, number: u64) -> Outcome {
        let event = self.day.events[usize::try_from(number).expect("a count fits a machine word")];
        match event.kind {
            Kind::Post => {
                let comment = self.day.comment(event.user);
                Answer::outcome(&self.connection.post("/api/comments", comment).await)
            }
            Kind::Poll => self.poll(event.user).await,
        }
    }
}

impl Someone {
    async fn poll(&mut self, user: u32) -> Outcome {
        let seen = &self.day.seen[user as usize];
        let after = seen.load(Ordering::Relaxed);
        let path = format!("/api/comments?domain={DOMAIN}&limit={PAGE}&after={after}");
        let answer = self.connection.get(&path).await;
        if let Ok(page) = &answer
            && let Some(newest) = last_timestamp(&page.body)
        {
            seen.fetch_max(newest, Ordering::Relaxed);
        }
        Answer::outcome(&answer)
    }
}

/// The timestamp of the last message of a page, found without reading the rest: the generator shares the servers' cores.
pub(crate) fn last_timestamp(page: &[u8]) -> Option<i64> {
    const FIELD: &[u8] = b"\"timestamp\":";
    let at = page.windows(FIELD.len()).rposition(|window| window == FIELD)? + FIELD.len();
    let digits = page[at..].iter().take_while(|byte| byte.is_ascii_digit());
    Some(digits.fold(0, |number, digit| number * 10 + i64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::last_timestamp;

    #[test]
    fn the_last_timestamp_of_a_page_is_the_position_to_go_on_from() {
        let page = br#"[{"id":"a","timestamp":17,"text":"x"},{"id":"b","timestamp":18,"seq":3}]"#;
        assert_eq!(last_timestamp(page), Some(18));
        assert_eq!(last_timestamp(b"[]"), None);
    }
}
