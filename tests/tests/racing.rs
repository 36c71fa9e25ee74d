//! Many workers want the same messages: exactly one gets each, and who has lost a lease is told so at every further step.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    sync::atomic::{AtomicUsize, Ordering},
};

use e2e::{Grpc, Service, Watch, held, offers, question, question_from, refused, reply, watch_live, work};
use repartee_proto::v1::{
    ChangeKind, LeaseRef, PostMessageRequest, PostMessagesRequest, Work, post_outcome::Outcome,
    stream_pending_response::Event,
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::Code;

const MESSAGES: usize = 1_000;
const WORKERS: usize = 16;

/// Posts all messages of the race, four to a conversation, and hands out their ids.
async fn post_all(client: &Grpc) -> HashSet<String> {
    let mut ids = HashSet::new();
    let items: Vec<_> = (0..MESSAGES)
        .map(|number| question_from(&format!("Human {}", number / 4), "echo", &format!("Question {number}?")))
        .map(|message| PostMessageRequest { message: Some(message), idempotency_key: None })
        .collect();
    for batch in items.chunks(250) {
        let request = PostMessagesRequest { items: batch.to_vec() };
        let answer = client.raw().post_messages(request).await.expect("a batch is stored").into_inner();
        ids.extend(answer.outcomes.into_iter().map(|outcome| match outcome.outcome {
            Some(Outcome::Posted(posted)) => posted.message.expect("the message as stored").id,
            other => panic!("a post of the batch was refused: {other:?}"),
        }));
    }
    ids
}

/// One racer: claims as its number says until the race is over, and completes whatever it gets.
struct Racer {
    client: Grpc,
    name: String,
    over: CancellationToken,
    completed: Arc<AtomicUsize>,
}

impl Racer {
    async fn run(self, number: usize) {
        let over = self.over.clone();
        let race = async {
            match number % 3 {
                0 => self.claim_by_id().await,
                1 => self.claim_next().await,
                _ => self.take_from_a_stream().await,
            }
        };
        tokio::select! {
            () = race => {}
            () = over.cancelled() => {}
        }
    }

    async fn claim_by_id(&self) {
        let mut stream = self.client.stream(offers(&self.name, &["echo"])).await.expect("a stream of offers");
        loop {
            let offered = match stream.event().await.expect("the stream goes on") {
                Some(Event::Work(work)) => work.message.expect("an offer holds its message"),
                Some(_) => continue,
                None => panic!("the stream ended in the middle of the race"),
            };
            match self.client.claim(&offered.id, &self.name).await {
                Ok(claimed) => self.complete(&claimed).await,
                lost => assert_eq!(refused(lost), (Code::FailedPrecondition, "NOT_PENDING".to_owned())),
            }
        }
    }

    async fn claim_next(&self) {
        loop {
            if let Some(claimed) =
                self.client.claim_next(&self.name, &["echo"], 20).await.expect("claim-next")
            {
                self.complete(&claimed).await;
            }
        }
    }

    async fn take_from_a_stream(&self) {
        let mut stream = self.client.stream(work(&self.name, &["echo"], 4)).await.expect("a stream of work");
        loop {
            let claimed = stream.work().await;
            self.complete(&claimed).await;
        }
    }

    async fn complete(&self, claimed: &Work) {
        let answer =
            self.client.complete(held(claimed), reply(&self.name)).await.expect("the holder may complete");
        assert!(!answer.late && !answer.already_completed, "{answer:?}");
        self.completed.fetch_add(1, Ordering::Relaxed);
    }
}

/// Follows the feed to the end of the race; fails where a message is claimed, answered or completed twice.
async fn referee(mut watch: Watch, ids: &HashSet<String>) {
    let mut seen: HashMap<(ChangeKind, String), usize> = HashMap::new();
    let mut completed = 0;
    while completed < ids.len() {
        let change = watch.change().await;
        let message = change.message.as_ref().expect("a change holds its message");
        let subject = message.reply_to.clone().unwrap_or_else(|| message.id.clone());
        assert!(ids.contains(&subject), "{change:?}");
        let times = seen.entry((change.kind(), subject)).or_default();
        *times += 1;
        assert_eq!(*times, 1, "happened twice: {change:?}");
        completed += usize::from(change.kind() == ChangeKind::Completed);
    }
    for kind in [ChangeKind::Claimed, ChangeKind::Posted, ChangeKind::Completed] {
        let count = seen.keys().filter(|(seen, _)| *seen == kind).count();
        assert_eq!(count, ids.len(), "every message has one {kind:?} of its own or of its reply");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_racing_workers_complete_each_of_a_thousand_messages_exactly_once() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let ids = post_all(&client).await;
    let watch = client.watch(watch_live()).await.unwrap();
    let (over, completed) = (CancellationToken::new(), Arc::new(AtomicUsize::new(0)));
    let mut racers = JoinSet::new();
    for number in 0..WORKERS {
        let (client, name) = (queue.grpc().await, format!("worker {number}"));
        racers.spawn(Racer { client, name, over: over.clone(), completed: completed.clone() }.run(number));
    }
    tokio::select! {
        () = referee(watch, &ids) => {}
        ended = racers.join_next() => panic!("a racer gave up: {ended:?}"),
    }
    over.cancel();
    while let Some(ended) = racers.join_next().await {
        ended.expect("no racer fails");
    }
    let stats = client.stats().await.unwrap();
    assert_eq!((stats.pending, stats.processing, stats.failed), (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_sixteen_claims_of_one_message_exactly_one_succeeds() {
    let queue = Service::queue_service(&[]).await;
    let id = queue.grpc().await.post(question("echo", "Mine?")).await.unwrap().id;
    let mut claims = JoinSet::new();
    for number in 0..WORKERS {
        let (client, id) = (queue.grpc().await, id.clone());
        claims.spawn(async move { client.claim(&id, &format!("worker {number}")).await });
    }
    let (won, lost): (Vec<_>, Vec<_>) = claims.join_all().await.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1);
    for refusal in lost {
        let status = refusal.as_ref().unwrap_err();
        assert_eq!(status.message(), "Message status is processing, not pending");
        assert_eq!(refused(refusal), (Code::FailedPrecondition, "NOT_PENDING".to_owned()));
    }
}

/// Checks that every step that needs the lease is refused to who has lost it, and changes nothing.
async fn assert_refused_everywhere(client: &Grpc, lost: &LeaseRef) {
    let before = client.get(&lost.message_id).await.expect("the message is there");
    let lease_lost = (Code::FailedPrecondition, "LEASE_LOST".to_owned());
    assert_eq!(refused(client.complete(lost.clone(), reply("Too late.")).await), lease_lost);
    assert_eq!(refused(client.fail(lost.clone(), "too late", None).await), lease_lost);
    assert_eq!(refused(client.give_up(lost.clone(), "too late").await), lease_lost);
    assert_eq!(refused(client.release(lost.clone()).await), lease_lost);
    let rejection =
        client.renew(lost.clone()).await.expect("a batch is answered item by item").expect_err("it is lost");
    assert_eq!((rejection.code, rejection.reason.as_str()), (Code::FailedPrecondition as i32, "LEASE_LOST"));
    assert_eq!(client.get(&lost.message_id).await.expect("the message is there"), before);
}

#[tokio::test]
async fn a_worker_whose_message_another_one_holds_is_refused_everywhere() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let id = client.post(question("echo", "Whose?")).await.unwrap().id;
    let first = client.claim(&id, "worker 1").await.unwrap();
    client.release(held(&first)).await.unwrap();
    let second = client.claim(&id, "worker 2").await.unwrap();

    assert_refused_everywhere(&client, &held(&first)).await;
    client.complete(held(&second), reply("Mine.")).await.unwrap();
}

#[tokio::test]
async fn a_worker_whose_lease_ran_out_is_refused_once_another_one_took_over() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let mut watch = client.watch(watch_live()).await.unwrap();
    let id = client.post(question("echo", "Whose?")).await.unwrap().id;
    let first = client.claim_for(&id, "worker 1", 5).await.unwrap();
    watch.until(ChangeKind::Expired, &id).await;
    let second = client.claim_next("worker 2", &[], 25).await.unwrap().expect("what expired waits again");

    assert_refused_everywhere(&client, &held(&first)).await;
    let answer = client.complete(held(&second), reply("Mine.")).await.unwrap();
    assert_eq!((answer.late, answer.message.unwrap().bot_params.unwrap().attempts), (false, 2));
}
