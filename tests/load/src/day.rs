//! A day of the site as a plan: who posts and who polls when. Pure: the same numbers give the same day.
//!
//! A person has the page open all day, posts now and then, and polls as the page does: at once after an own post, every
//! second while its answer is awaited, then 5 s later, and from then on each time half as long again, up to 5 min.

use std::time::Duration;

use rand::{Rng, RngExt as _, SeedableRng as _, rngs::StdRng};

/// A day.
pub(crate) const DAY: Duration = Duration::from_secs(86_400);
/// Between two polls after somebody used the page.
const ACTIVE: f64 = 5.0;
/// The longest time between two polls.
const IDLE_MAX: f64 = 300.0;
const GROWTH: f64 = 1.5;
/// Between two polls while an answer is awaited.
const QUICK: f64 = 1.0;
/// How long a bot takes for its answer.
const ANSWER: f64 = 4.0;

/// Something that a person does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Event {
    /// Since midnight.
    pub(crate) at: Duration,
    /// Who.
    pub(crate) user: u32,
    /// What.
    pub(crate) kind: Kind,
}

/// What a person does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Posts a message to a bot.
    Post,
    /// Polls for news.
    Poll,
}

/// The day of `users` people who each post `messages` messages, in order of time.
pub(crate) fn day(users: u32, messages: u32) -> Vec<Event> {
    let mut random = StdRng::seed_from_u64(u64::from(users) << 32 | u64::from(messages));
    let mut events: Vec<Event> =
        (0..users).flat_map(|user| one_person(user, messages, &mut random)).collect();
    events.sort_by_key(|event| event.at);
    events
}

fn one_person(user: u32, messages: u32, random: &mut impl Rng) -> Vec<Event> {
    let day = DAY.as_secs_f64();
    let mut posts: Vec<f64> = (0..messages).map(|_| random.random_range(0.0..day)).collect();
    posts.sort_by(f64::total_cmp);
    let event = |at: f64, kind| Event { at: Duration::from_secs_f64(at), user, kind };
    // Who has had the page open since yesterday polls at the slowest pace, at a moment of their own.
    let (mut steady, mut poll) = (IDLE_MAX, random.random_range(0.0..IDLE_MAX));
    let mut events = Vec::new();
    let mut posts = posts.into_iter().peekable();
    let mut awaited_until = f64::MIN;
    while poll < day || posts.peek().is_some() {
        if let Some(post) = posts.next_if(|post| *post <= poll) {
            events.push(event(post, Kind::Post));
            (poll, steady, awaited_until) = (post, ACTIVE / GROWTH, post + ANSWER);
            continue;
        }
        events.push(event(poll, Kind::Poll));
        poll += if poll < awaited_until {
            QUICK
        } else {
            steady = (steady * GROWTH).min(IDLE_MAX);
            steady
        };
    }
    events
}

#[cfg(test)]
mod tests {
    use super::{DAY, Event, Kind, day};

    fn count(events: &[Event], kind: Kind) -> usize {
        events.iter().filter(|event| event.kind == kind).count()
    }

    #[test]
    fn everybody_posts_as_often_as_asked_for() {
        let events = day(50, 20);
        assert_eq!(count(&events, Kind::Post), 50 * 20);
        assert!(events.iter().all(|event| event.at <= DAY));
        assert!(events.is_sorted_by_key(|event| event.at));
    }

    #[test]
    fn a_person_who_says_nothing_polls_every_five_minutes() {
        let polls = day(10, 0).len();
        assert_eq!(polls, 10 * 288);
    }

    #[test]
    fn an_own_post_makes_polls_quick_and_then_ever_slower() {
        let events = day(1, 1);
        let post = events.iter().position(|event| event.kind == Kind::Post).unwrap();
        let times: Vec<f64> = events[post..].iter().take(9).map(|event| event.at.as_secs_f64()).collect();
        let gaps: Vec<f64> =
            times.windows(2).map(|pair| ((pair[1] - pair[0]) * 10.0).round() / 10.0).collect();
        assert_eq!(gaps, [0.0, 1.0, 1.0, 1.0, 1.0, 5.0, 7.5, 11.3]);
    }

    #[test]
    fn the_same_numbers_give_the_same_day() {
        assert_eq!(day(3, 20), day(3, 20));
    }
}
