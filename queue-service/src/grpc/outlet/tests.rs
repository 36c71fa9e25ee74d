//! What waits in a stream: how much, for how long, and whose place it takes.

use std::time::{Duration, SystemTime};

use futures_util::{FutureExt as _, StreamExt as _};
use metrics::Counter;
use repartee_process::{NewToken, Role};
use repartee_proto::v1::Draft;
use tokio_util::sync::CancellationToken;
use tonic::Code;

use super::*;

/// So many bytes of text are more than half of what may wait.
const LONG: usize = 150 * 1024;

struct World {
    room: Bound,
    answers: ByteLimit,
    rules: StreamRules,
}

/// A world of its own; `name` is that of its bounds.
fn world(name: &'static str, answers: u64) -> World {
    let room = Bound::new(name, 1);
    let hour = Duration::from_secs(3_600);
    let rules = StreamRules {
        workers: room.clone(),
        watchers: room.clone(),
        gateways: room.clone(),
        posters: room.clone(),
        drafters: room.clone(),
        watches: Default::default(),
        slow: Counter::noop(),
        heartbeat: hour,
        age: hour,
        patience: Duration::from_secs(30),
        draining: CancellationToken::new(),
    };
    World { room, answers: ByteLimit::new(name, answers), rules }
}

impl World {
    fn open(&self, expires: Option<SystemTime>) -> Result<(Outlet<Draft>, Inlet<Draft>), Status> {
        let standing = Standing::of_token(NewToken::draw(Role::Worker, &["e".to_owned()], "", expires));
        Outlet::open(&self.rules, &self.room, &self.answers, standing)
    }
}

fn draft(bytes: usize) -> Draft {
    Draft { text: "x".repeat(bytes), ..Draft::default() }
}

#[tokio::test(start_paused = true)]
async fn bytes_wait_for_a_client_up_to_a_bound_and_it_is_sent_more_as_it_takes_them() {
    let world = world("test_outlet_bytes", u64::MAX);
    let (mut outlet, mut inlet) = world.open(None).unwrap();
    outlet.send(draft(LONG)).await.unwrap();
    assert!(outlet.send(draft(LONG)).now_or_never().is_none(), "both are too much at once");
    assert!(!outlet.offer(draft(LONG)));
    let (sent, taken) = tokio::join!(outlet.send(draft(LONG)), inlet.next());
    sent.unwrap();
    assert_eq!(taken.unwrap().unwrap().text.len(), LONG);
    assert!(world.answers.fill().held >= LONG as u64);
    drop((outlet, inlet));
    assert_eq!(world.answers.fill().held, 0);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_keeps_up_gets_its_events_though_all_bytes_are_taken() {
    let world = world("test_outlet_total", 10);
    let _others = world.answers.count(10);
    let (mut outlet, mut inlet) = world.open(None).unwrap();
    for _ in 0..3 {
        outlet.send(draft(100)).await.unwrap();
        assert!(outlet.send(draft(100)).now_or_never().is_none());
        inlet.next().await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_is_told_so_and_keeps_its_place_until_it_is_gone() {
    let world = world("test_outlet_slow", u64::MAX);
    let (mut outlet, mut inlet) = world.open(None).unwrap();
    outlet.send(draft(LONG)).await.unwrap();
    outlet.send(draft(LONG)).await.unwrap_err();
    drop(outlet);
    assert_eq!(world.open(None).map(drop).unwrap_err().code(), Code::ResourceExhausted, "it holds bytes");
    inlet.next().await.unwrap().unwrap();
    assert_eq!(inlet.next().await.unwrap().unwrap_err().code(), Code::ResourceExhausted);
    assert!(inlet.next().await.is_none());
    drop(inlet);
    world.open(None).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_has_lost_the_right_to_its_stream_is_not_waited_for() {
    let world = world("test_outlet_refused", u64::MAX);
    let (mut outlet, mut inlet) = world.open(Some(SystemTime::UNIX_EPOCH)).unwrap();
    outlet.send(draft(LONG)).await.unwrap();
    let began = tokio::time::Instant::now();
    outlet.send(draft(LONG)).await.unwrap_err();
    assert!(began.elapsed() < world.rules.patience);
    inlet.next().await.unwrap().unwrap();
    assert_eq!(inlet.next().await.unwrap().unwrap_err().code(), Code::PermissionDenied);

    drop((outlet, inlet));
    let (mut outlet, mut inlet) = world.open(Some(SystemTime::UNIX_EPOCH)).unwrap();
    outlet.check().unwrap_err();
    assert_eq!(inlet.next().await.unwrap().unwrap_err().code(), Code::PermissionDenied);
}

#[tokio::test]
async fn a_stream_whose_task_panics_does_not_end_as_one_that_is_complete() {
    let world = world("test_outlet_panic", u64::MAX);
    let (mut outlet, mut inlet) = world.open(None).unwrap();
    let broken = tokio::spawn(async move {
        outlet.send(draft(1)).await.unwrap();
        panic!("that is what it does");
    });
    broken.await.unwrap_err();
    inlet.next().await.unwrap().unwrap();
    assert_eq!(inlet.next().await.unwrap().unwrap_err().code(), Code::Unknown);
    assert!(inlet.next().await.is_none());

    drop(inlet);
    let (outlet, mut inlet) = world.open(None).unwrap();
    outlet.close();
    assert!(inlet.next().await.is_none(), "nothing follows when there is no more to tell");
}
