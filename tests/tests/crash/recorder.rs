//! Keeps the history while it happens: every request from before it is sent, every answer once it is there, and where
//! none came, that too.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicI32, AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use rand::{RngExt, rngs::StdRng};
use tokio::sync::watch;

use crate::{
    history::{Answer, Call, FaceKind, History, Moment, Outcome, Seen, Watched},
    request::{Mark, Request},
};

/// A message that was acknowledged, for those who pick one to edit, delete or cancel.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) id: String,
    pub(crate) edit_token: String,
    pub(crate) is_work: bool,
}

/// The history of a run, shared by all clients.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    ticks: AtomicU64,
    marks: AtomicI32,
    kept: Mutex<Kept>,
    sent: watch::Sender<u64>,
    acknowledged: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Kept {
    history: History,
    in_flight: HashMap<u64, Call>,
    known: Vec<Known>,
}

impl Recorder {
    /// A mark that nobody has used.
    pub(crate) fn mark(&self) -> Mark {
        self.marks.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Records one call: that it begins, and what becomes of it. A call that is given up is recorded as lost.
    pub(crate) async fn record(
        &self,
        by: &str,
        face: FaceKind,
        request: Request,
        call: impl Future<Output = Outcome>,
    ) -> Outcome {
        let mut flight = self.begin(by, face, request);
        let outcome = call.await;
        flight.land(outcome.clone());
        outcome
    }

    /// Records that a call begins; it ends with what the returned guard is told, or lost.
    pub(crate) fn begin(&self, by: &str, face: FaceKind, request: Request) -> Flight<'_> {
        let begun = self.now();
        let writes = request.writes();
        let outcome = Outcome::Lost("was given up".to_owned());
        let call = Call { by: by.to_owned(), face, request, begun, ended: begun, outcome };
        self.kept().in_flight.insert(begun.tick, call);
        if writes {
            self.sent.send_modify(|count| *count += 1);
        }
        Flight { recorder: self, tick: begun.tick }
    }

    /// Records a watch that has been opened; hands out its number.
    pub(crate) fn watch(&self, watched: Watched) -> usize {
        let mut kept = self.kept();
        kept.history.watched.push(watched);
        kept.history.watched.len() - 1
    }

    /// Records a change on that watch.
    pub(crate) fn saw(&self, watch: usize, seen: Seen) {
        self.kept().history.watched[watch].changes.push(seen);
    }

    /// Everything up to now; calls without an answer count as lost.
    pub(crate) fn history(&self) -> History {
        let ended = self.now();
        let kept = self.kept();
        let mut history = kept.history.clone();
        history.calls.extend(kept.in_flight.values().map(|call| Call { ended, ..call.clone() }));
        history
    }

    /// Any message that was acknowledged so far.
    pub(crate) fn any_known(&self, random: &mut StdRng) -> Option<Known> {
        let kept = self.kept();
        (!kept.known.is_empty()).then(|| kept.known[random.random_range(0..kept.known.len())].clone())
    }

    /// How many calls that write were sent.
    pub(crate) fn sent(&self) -> watch::Receiver<u64> {
        self.sent.subscribe()
    }

    /// How many calls that write were acknowledged.
    pub(crate) fn acknowledged(&self) -> watch::Receiver<u64> {
        self.acknowledged.subscribe()
    }

    fn now(&self) -> Moment {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970").as_millis();
        Moment {
            tick: self.ticks.fetch_add(1, Ordering::SeqCst) + 1,
            wall: i64::try_from(wall).expect("the clock is before the year 292 million"),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().expect("nobody panics while holding it")
    }
}

/// A call that is on its way.
#[derive(Debug)]
pub(crate) struct Flight<'a> {
    recorder: &'a Recorder,
    tick: u64,
}

impl Flight<'_> {
    /// One more answer to a call that goes on.
    pub(crate) fn deliver(&mut self, answer: Answer) {
        let ended = self.recorder.now();
        let mut kept = self.recorder.kept();
        let opened = kept.in_flight.get(&self.tick).expect("it has not landed").clone();
        kept.history.calls.push(Call { ended, outcome: Outcome::Answered(answer), ..opened });
    }

    /// The call has ended so.
    pub(crate) fn land(&mut self, outcome: Outcome) {
        let ended = self.recorder.now();
        let mut kept = self.recorder.kept();
        let Some(call) = kept.in_flight.remove(&self.tick) else { return };
        let call = Call { ended, outcome, ..call };
        kept.known.extend(newly_known(&call));
        let acknowledged = call.request.writes() && call.answer().is_some();
        kept.history.calls.push(call);
        drop(kept);
        if acknowledged {
            self.recorder.acknowledged.send_modify(|count| *count += 1);
        }
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.land(Outcome::Lost("was given up".to_owned()));
    }
}

fn newly_known(call: &Call) -> Vec<Known> {
    let Some(Answer::Posted(items)) = call.answer() else { return Vec::new() };
    let posted = items.iter().flatten().filter(|posted| !posted.replayed);
    let known = posted.map(|posted| Known {
        id: posted.message.id.clone(),
        edit_token: posted.edit_token.clone(),
        is_work: posted.message.bot_params.is_some(),
    });
    known.collect()
}
