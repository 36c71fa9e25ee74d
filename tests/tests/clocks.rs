//! A wall clock that is wrong: ahead for a moment, behind at a start, set back while the service runs. Nothing is refused,
//! no work is lost, readers by timestamp miss nothing. Where libfaketime cannot be had, the tests are skipped and say so.

#![expect(
    clippy::unwrap_used,
    reason = "these are tests, which clippy does not see in a program with a main of its own"
)]

use std::{
    pin::Pin,
    time::{SystemTime, UNIX_EPOCH},
};

use e2e::{
    Browser, FakeTime, Grpc, Metrics, Service, held, id_of, platform_post, question, reply, within_deadline,
};
use libtest_mimic::{Arguments, Completion, Trial};
use repartee_proto::v1::{
    BotAddress, LeaseRef, Message, NewMessage, Status, list_messages_request::Position,
};

const DAY: i64 = 86_400_000;
/// How far apart two moments of a test may be on a slow machine.
const SOON: i64 = 60_000;

type Test = fn(FakeTime) -> Pin<Box<dyn Future<Output = ()>>>;

/// The tests by their names, which are those of their functions.
macro_rules! tests {
    ($($name:ident),* $(,)?) => { [$((stringify!($name), (|clock| Box::pin($name(clock))) as Test)),*] };
}

fn main() {
    let tests = tests![
        a_clock_that_was_400_days_ahead_for_a_moment_is_not_believed,
        a_clock_that_was_400_days_ahead_at_a_start_stops_nothing_once_it_is_right,
        a_clock_that_is_120_seconds_behind_at_a_start_stops_nothing,
        a_clock_that_steps_back_by_2_seconds_is_waited_for_by_nobody,
        a_jump_that_lasts_is_believed,
        a_false_jump_sweeps_nothing,
        what_a_gateway_says_of_the_time_is_by_the_clock_of_the_queue_service,
    ];
    let trial = |(name, test): (&str, Test)| Trial::ignorable_test(name, move || Ok(run(test)));
    libtest_mimic::run(&Arguments::from_args(), tests.into_iter().map(trial).collect()).exit();
}

fn run(test: Test) -> Completion {
    let runtime = tokio::runtime::Runtime::new().expect("the system gives threads");
    match FakeTime::new() {
        Ok(clock) => {
            runtime.block_on(test(clock));
            Completion::Completed
        }
        Err(why) => Completion::ignored_with(why),
    }
}

/// The true time.
fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

#[track_caller]
fn assert_soon(time: i64, expected: i64) {
    assert!((time - expected).abs() < SOON, "{time} is {} ms from {expected}", time - expected);
}

async fn say(client: &Grpc) -> Message {
    client.post(platform_post("Human", "Well?")).await.unwrap()
}

/// A claim by a worker that goes on working.
async fn claimed(client: &Grpc) -> LeaseRef {
    let id = client.post(question("held", "Long?")).await.unwrap().id;
    let lease = held(&client.claim_for(&id, "steady", 300).await.unwrap());
    // The renewal goes through, whatever the clock does.
    client.renew(lease.clone()).await.unwrap().unwrap();
    lease
}

/// All that work goes through, none of which may be refused or take longer: a claim, a renewal, an answer; a failure and
/// its second attempt; a lease that ends without a result.
async fn work_goes_on(client: &Grpc) {
    let id = client.post(question("answered", "Well?")).await.unwrap().id;
    let work = client.claim_for(&id, "w", 30).await.unwrap();
    client.renew(held(&work)).await.unwrap().unwrap();
    client.complete(held(&work), reply("Well.")).await.unwrap();
    assert_eq!(client.status(&id).await.unwrap(), Status::Complete);

    let id = client.post(question("failed", "Well?")).await.unwrap().id;
    let work = client.claim(&id, "w").await.unwrap();
    client.fail(held(&work), "not yet", Some(1)).await.unwrap();
    let again = async { client.claim_next("w", &["failed"], 25).await.unwrap().expect("its second attempt") };
    assert_eq!(id_of(&within_deadline("a retry", again).await), id);

    let id = client.post(question("lost", "Well?")).await.unwrap().id;
    client.claim_for(&id, "w", 5).await.unwrap();
    let again =
        async { client.claim_next("w", &["lost"], 25).await.unwrap().expect("it is handed out again") };
    let again = within_deadline("the end of a lease", again).await;
    assert_eq!(id_of(&again), id);
    client.complete(held(&again), None).await.unwrap();
}

/// What authors ask for by the time that the service shows comes as far away as that.
async fn times_of_authors_hold(client: &Grpc) {
    let shown = now();
    let timed = |entity: &str, not_before, expires_at| {
        let plain = question(entity, "Later?");
        let bot = BotAddress { not_before, expires_at, ..plain.bot.clone().unwrap() };
        NewMessage { bot: Some(bot), ..plain }
    };
    let later = client.post(timed("later", Some(shown + 3_000), Some(shown + 60_000))).await.unwrap().id;
    assert!(client.claim(&later, "w").await.is_err(), "it is not due");
    let due = async { client.claim_next("w", &["later"], 25).await.unwrap().expect("it is due") };
    assert_eq!(id_of(&within_deadline("a message for later", due).await), later);
    let gone = client.post(timed("gone", None, Some(now() + 1_000))).await.unwrap().id;
    let given_up = async { while client.status(&gone).await.unwrap() != Status::Failed {} };
    within_deadline("what nobody takes to expire", given_up).await;
}

/// Whoever reads on by the timestamps that they have seen has seen everything, in the order in which it was posted.
async fn nothing_is_missed(client: &Grpc, posted: &[Message]) {
    assert!(posted.is_sorted_by_key(|message| message.seq));
    assert!(posted.windows(2).all(|two| two[0].timestamp < two[1].timestamp), "{posted:?}");
    for (n, message) in posted.iter().enumerate() {
        let page = client.list(Some(Position::After(message.timestamp)), 1_000).await.unwrap();
        for later in &posted[n + 1..] {
            assert!(
                page.messages.iter().any(|seen| seen.id == later.id),
                "{} after {}",
                later.id,
                message.timestamp
            );
        }
    }
}

async fn behind(queue: &Service) -> f64 {
    Metrics::of(&Browser::new(&queue.grpc_url())).await.value("repartee_clock_behind_seconds")
}

/// The service's clock is looked at every second.
async fn behind_once(queue: &Service, so: impl Fn(f64) -> bool) {
    let seen = async { while !so(behind(queue).await) {} };
    within_deadline("the metric to follow the clock", seen).await;
}

fn lines(queue: &mut Service, text: &str) -> usize {
    queue.process().log().lines().filter(|line| line.contains(text)).count()
}

const BEHIND: &str = "the clock is behind the newest message";

async fn a_clock_that_was_400_days_ahead_for_a_moment_is_not_believed(clock: FakeTime) {
    let mut queue = Service::queue_service_by(&clock, &[]).await;
    let client = queue.grpc().await;
    let mut posted = vec![say(&client).await];
    let lease = claimed(&client).await;
    clock.set("+400d");
    posted.push(say(&client).await);
    assert_soon(posted[1].timestamp, now());
    work_goes_on(&client).await;
    clock.set("+0");
    posted.push(say(&client).await);
    assert_soon(posted[2].timestamp, now());
    assert!(client.renew(lease.clone()).await.unwrap().is_ok(), "nobody's lease has ended");
    queue.kill().await;
    queue.start_again().await;
    let client = queue.grpc().await;
    posted.push(say(&client).await);
    assert_soon(posted[3].timestamp, now());
    client.complete(lease, reply("Here.")).await.unwrap();
    nothing_is_missed(&client, &posted).await;
    assert_eq!(lines(&mut queue, BEHIND), 0);
}

async fn a_clock_that_was_400_days_ahead_at_a_start_stops_nothing_once_it_is_right(clock: FakeTime) {
    clock.set("+400d");
    let mut queue = Service::queue_service_by(&clock, &[]).await;
    let client = queue.grpc().await;
    let mut posted = vec![say(&client).await];
    assert_soon(posted[0].timestamp, now() + 400 * DAY);
    let lease = claimed(&client).await;
    clock.set("+0");
    posted.push(say(&client).await);
    let work = client.claim(&client.post(question("seen", "When?")).await.unwrap().id, "w").await.unwrap();
    assert_soon(work.lease.as_ref().unwrap().expires_at, now());
    work_goes_on(&client).await;
    times_of_authors_hold(&client).await;
    assert!(client.renew(lease.clone()).await.unwrap().is_ok());
    behind_once(&queue, |seconds| seconds > 399.0 * 86_400.0).await;
    assert_eq!(lines(&mut queue, BEHIND), 1, "once, where it begins");

    for _ in 0..2 {
        queue.kill().await;
        queue.start_again().await;
        let client = queue.grpc().await;
        assert_eq!(lines(&mut queue, BEHIND), 1, "at the start");
        posted.push(say(&client).await);
        work_goes_on(&client).await;
        assert!(client.renew(lease.clone()).await.unwrap().is_ok(), "the claim has outlived the restart");
    }
    let client = queue.grpc().await;
    client.complete(lease, reply("Here.")).await.unwrap();
    let all = client.all().await.unwrap();
    let (first, last) = (posted[0].timestamp, all.iter().map(|message| message.timestamp).max().unwrap());
    assert!(last - first < SOON, "stamps go on by number: {last} after {first}");
    nothing_is_missed(&client, &posted).await;
}

async fn a_clock_that_is_120_seconds_behind_at_a_start_stops_nothing(clock: FakeTime) {
    let mut queue = Service::queue_service_by(&clock, &[]).await;
    let client = queue.grpc().await;
    let mut posted = vec![say(&client).await];
    let lease = claimed(&client).await;
    queue.kill().await;
    clock.set("-120s");
    queue.start_again().await;
    let client = queue.grpc().await;
    assert_eq!(lines(&mut queue, BEHIND), 1);
    posted.push(say(&client).await);
    assert!(posted[1].timestamp > now() - SOON, "its stamp goes on from the newest");
    work_goes_on(&client).await;
    assert!(client.renew(lease.clone()).await.unwrap().is_ok());
    assert!(behind(&queue).await > 0.0);
    clock.set("+0");
    behind_once(&queue, |seconds| seconds == 0.0).await;
    posted.push(say(&client).await);
    assert_soon(posted[2].timestamp, now());
    queue.kill().await;
    queue.start_again().await;
    let client = queue.grpc().await;
    posted.push(say(&client).await);
    client.complete(lease, reply("Here.")).await.unwrap();
    nothing_is_missed(&client, &posted).await;
}

async fn a_clock_that_steps_back_by_2_seconds_is_waited_for_by_nobody(clock: FakeTime) {
    let mut queue = Service::queue_service_by(&clock, &[]).await;
    let client = queue.grpc().await;
    let lease = claimed(&client).await;
    let mut posted = vec![say(&client).await];
    clock.set("-2s");
    for n in 1..=20 {
        posted.push(say(&client).await);
        let stamp = posted[n].timestamp;
        assert!(stamp == posted[n - 1].timestamp + 1 || stamp <= now() - 1_000, "it goes on by number");
    }
    work_goes_on(&client).await;
    queue.kill().await;
    clock.set("-4s");
    queue.start_again().await;
    let client = queue.grpc().await;
    posted.push(say(&client).await);
    work_goes_on(&client).await;
    client.complete(lease, reply("Here.")).await.unwrap();
    nothing_is_missed(&client, &posted).await;
}

async fn a_jump_that_lasts_is_believed(clock: FakeTime) {
    let mut queue = Service::queue_service_by(&clock, &["--max-clock-jump", "2s"]).await;
    let client = queue.grpc().await;
    let lease = claimed(&client).await;
    clock.set("+400d");
    let mut posted = vec![say(&client).await];
    assert_soon(posted[0].timestamp, now());
    let believed = async {
        while posted.last().unwrap().timestamp < now() + 399 * DAY {
            posted.push(say(&client).await);
        }
    };
    within_deadline("a jump that has lasted for 2 s", believed).await;
    assert!(client.renew(lease.clone()).await.unwrap().is_ok(), "no lease has ended by it");
    work_goes_on(&client).await;
    assert_eq!(lines(&mut queue, "not believed until it has lasted"), 1);
    queue.kill().await;
    queue.start_again().await;
    let client = queue.grpc().await;
    client.complete(lease, reply("Here.")).await.unwrap();
    posted.push(say(&client).await);
    nothing_is_missed(&client, &posted[posted.len() - 5..]).await;
}

async fn a_false_jump_sweeps_nothing(clock: FakeTime) {
    let settings = ["--retention", "1d", "--cache-messages", "1"];
    let mut queue = Service::queue_service_by(&clock, &settings).await;
    let client = queue.grpc().await;
    let mut posted = Vec::new();
    for _ in 0..20 {
        posted.push(say(&client).await);
    }
    clock.set("+400d");
    posted.push(say(&client).await);
    queue.kill().await;
    queue.start_again().await;
    let client = queue.grpc().await;
    posted.push(say(&client).await);
    assert_soon(posted[21].timestamp, now() + 400 * DAY);
    queue.kill().await;
    clock.set("+0");
    queue.start_again().await;
    let client = queue.grpc().await;
    for _ in 0..20 {
        posted.push(say(&client).await);
    }
    let kept = client.all().await.unwrap();
    assert_eq!(kept.len(), posted.len(), "nothing was old");
    nothing_is_missed(&client, &posted).await;
}

async fn what_a_gateway_says_of_the_time_is_by_the_clock_of_the_queue_service(clock: FakeTime) {
    let queue = Service::queue_service(&[]).await;
    for offset in ["+300s", "-300s", "+400d"] {
        clock.set(offset);
        let mut gateway = Service::gateway_by(&clock, &queue.grpc_url()).await;
        let browser = gateway.browser();
        let posted = queue.grpc().await.post(platform_post("Ann", "Now.")).await.unwrap();
        browser.comments_once(|seen| seen.iter().any(|comment| comment["id"] == posted.id.as_str())).await;
        let page = browser.get("/api/comments/changes").await.ok(200);
        let mut events = e2e::Events::open(&browser, "/api/comments/stream", "").await.unwrap();
        let history = browser.get("/api/admin/history").await.ok(200);
        for told in [&page, &events.named("hello").await.data, &history] {
            let difference = told["serverTime"].as_i64().unwrap() - posted.timestamp;
            assert!(difference.abs() < SOON, "{offset}: {difference}");
        }
        let metrics = Metrics::of(&browser).await;
        let told = metrics.value("repartee_clock_difference_seconds");
        assert!(told.abs() > 200.0 && (told > 0.0) == offset.starts_with('+'), "{offset}: {told}");
        gateway.process().logs("the clocks of this host and of the queue-service differ").await;
    }
}
