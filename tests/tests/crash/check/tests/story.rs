//! Histories made by hand: what a well-behaved service would answer and keep, to be spoiled by a test afterwards.

use repartee_proto::v1::{BotAddress, BotParams, ChangeKind, Message, MessageType, NewMessage, Status};

use crate::{
    check::violations,
    history::{
        Answer, Call, Completed, FaceKind, Granted, History, Moment, Outcome, Posted, Refusal, Seen, Watched,
    },
    log::Log,
    request::{Completion, Edit, From, Lease, Mark, Post, Request},
};

/// When the first thing happens; each thing takes 10 ms.
const START: i64 = 1_000_000;

/// A lease in a story.
const LEASE: i64 = 5_000;

/// A history and the log beside it.
pub(super) struct Story {
    pub(super) history: History,
    pub(super) log: Log,
    tick: u64,
    marks: Mark,
}

impl Story {
    pub(super) fn new() -> Self {
        let log = Log { epoch: "e".to_owned(), ..Log::default() };
        Self { history: History::default(), log, tick: 0, marks: 0 }
    }

    /// Checks that nothing is wrong with this story.
    #[track_caller]
    pub(super) fn assert_sound(&self) {
        assert_eq!(violations(&self.history, &self.log), Vec::<String>::new());
    }

    /// Checks that the checker says this.
    #[track_caller]
    pub(super) fn assert_told(&self, words: &str) {
        let told = violations(&self.history, &self.log);
        assert!(told.iter().any(|sentence| sentence.contains(words)), "{words:?} is not in {told:#?}");
    }

    /// The next moment.
    pub(super) fn now(&mut self) -> Moment {
        self.tick += 1;
        Moment { tick: self.tick, wall: START + 10 * i64::try_from(self.tick).expect("a short story") }
    }

    /// Lets time pass.
    pub(super) fn wait(&mut self, millis: i64) {
        self.tick += u64::try_from(millis / 10).expect("time goes on");
    }

    pub(super) fn mark(&mut self) -> Mark {
        self.marks += 1;
        self.marks
    }

    /// A call that begins and ends now.
    pub(super) fn call(&mut self, request: Request, outcome: Outcome) -> &mut Call {
        let (begun, ended) = (self.now(), self.now());
        let (by, face) = ("ann".to_owned(), FaceKind::Grpc);
        self.history.calls.push(Call { by, face, request, begun, ended, outcome });
        self.history.calls.last_mut().expect("it was just pushed")
    }

    pub(super) fn answered(&mut self, request: Request, answer: Answer) -> &mut Call {
        self.call(request, Outcome::Answered(answer))
    }

    pub(super) fn lost(&mut self, request: Request) {
        self.call(request, Outcome::Lost("cut off".to_owned()));
    }

    pub(super) fn refused(&mut self, request: Request, reason: &str) {
        let refusal = Refusal { code: "FailedPrecondition".to_owned(), reason: reason.to_owned() };
        self.call(request, Outcome::Refused(refusal));
    }

    /// Appends a change to the log.
    pub(super) fn change(&mut self, kind: ChangeKind, mut message: Message) -> Message {
        let seq = self.log.last() + 1;
        message.seq = seq;
        let cursor = format!("e.{seq}");
        self.log.changes.push(Seen { seq, cursor, kind, message: message.clone(), caught_up: false });
        message
    }

    /// The message as it stands now.
    pub(super) fn message(&self, id: &str) -> Message {
        let last = self.log.changes.iter().rfind(|change| change.message.id == id);
        last.expect("it was posted").message.clone()
    }

    /// A change of a message that is there.
    pub(super) fn becomes(
        &mut self,
        id: &str,
        kind: ChangeKind,
        change: impl FnOnce(&mut Message, &mut BotParams),
    ) -> Message {
        let mut message = self.message(id);
        let mut bot = message.bot_params.take();
        change(&mut message, bot.get_or_insert_default());
        message.bot_params = bot;
        self.change(kind, message)
    }

    /// A question that nobody has posted yet.
    pub(super) fn some_post(&mut self) -> Post {
        let mark = self.mark();
        let message = NewMessage {
            domain: "lobby".to_owned(),
            text: format!("Post {mark}."),
            username: "Ann".to_owned(),
            message_type: MessageType::Human.into(),
            eq_score: mark,
            bot: Some(BotAddress { entity: "echo".to_owned(), ..BotAddress::default() }),
            ..NewMessage::default()
        };
        Post { message, key: None }
    }

    /// The log keeps a post, under a stamp.
    pub(super) fn stored(&mut self, post: &Post, stamp: i64) -> Message {
        let new = post.message.clone();
        let bot_params = new.bot.map(|bot| BotParams {
            status: Status::Pending.into(),
            priority: bot.priority.unwrap_or(5),
            ai_username: bot.entity.clone(),
            ai_color: "default".to_owned(),
            entity: bot.entity,
            ..BotParams::default()
        });
        let message = Message {
            id: format!("m{}", new.eq_score),
            timestamp: stamp,
            domain: new.domain,
            text: new.text,
            username: new.username,
            color: new.color,
            message_type: new.message_type,
            reply_to: new.reply_to,
            eq_score: new.eq_score,
            bot_params,
            ..Message::default()
        };
        self.change(ChangeKind::Posted, message)
    }

    /// A question is posted; hands out its id.
    pub(super) fn posts(&mut self) -> String {
        let post = self.some_post();
        let stamp = self.now().wall;
        let message = self.stored(&post, stamp);
        let posted = Posted { message: message.clone(), edit_token: "t".to_owned(), replayed: false };
        self.answered(Request::Post(vec![post]), Answer::Posted(vec![Ok(posted)]));
        message.id
    }

    /// Several questions are posted together.
    pub(super) fn posts_together(&mut self, count: usize) -> Vec<String> {
        let stamp = self.now().wall;
        let posts: Vec<Post> = (0..count).map(|_| self.some_post()).collect();
        let messages: Vec<Message> = posts.iter().map(|post| self.stored(post, stamp)).collect();
        let answer = messages.iter().map(|message| {
            Ok(Posted { message: message.clone(), edit_token: "t".to_owned(), replayed: false })
        });
        let answer = answer.collect();
        self.answered(Request::Post(posts), Answer::Posted(answer));
        messages.into_iter().map(|message| message.id).collect()
    }

    /// A worker claims a message.
    pub(super) fn claims(&mut self, id: &str) -> Lease {
        let worker = format!("worker {}", self.mark());
        let at = self.now().wall;
        let message = self.becomes(id, ChangeKind::Claimed, |_, bot| {
            bot.status = Status::Processing.into();
            bot.attempts += 1;
            bot.claimed_by = Some(worker.clone());
            bot.claimed_at = Some(at);
        });
        let token = format!("token of {worker}");
        let granted = Granted { message, token: token.clone(), expires_at: at + LEASE };
        let request = Request::Claim { id: id.to_owned(), worker, seconds: 5 };
        self.answered(request, Answer::Work(Some(Box::new(granted))));
        Lease { id: id.to_owned(), token }
    }

    /// A message goes back to pending so.
    pub(super) fn goes_back(&mut self, id: &str, kind: ChangeKind) -> Message {
        self.becomes(id, kind, |_, bot| bot.status = Status::Pending.into())
    }

    /// A completion with a reply.
    pub(super) fn completion(&mut self, lease: &Lease) -> Completion {
        let mark = self.mark();
        Completion { lease: lease.clone(), reply: Some((mark, format!("Answer {mark}."))) }
    }

    /// The log keeps a reply and the completion that brought it; hands out the reply's id.
    pub(super) fn completed(&mut self, done: &Completion, stamp: i64) -> String {
        let (mark, text) = done.reply.clone().expect("it brings a reply");
        let question = self.message(&done.lease.id);
        let reply = Message {
            id: format!("r{mark}"),
            timestamp: stamp,
            domain: question.domain,
            text,
            username: "echo".to_owned(),
            color: "default".to_owned(),
            message_type: MessageType::Ai.into(),
            reply_to: Some(question.id.clone()),
            eq_score: mark,
            ..Message::default()
        };
        let reply = self.change(ChangeKind::Posted, reply);
        self.becomes(&question.id, ChangeKind::Completed, |_, bot| bot.status = Status::Complete.into());
        reply.id
    }

    /// A worker completes its claim; hands out what it sent and the reply's id.
    pub(super) fn completes(&mut self, lease: &Lease) -> (Completion, String) {
        let done = self.completion(lease);
        let stamp = self.now().wall;
        let reply_id = self.completed(&done, stamp);
        let message = Some(self.message(&lease.id));
        let answer = Completed { message, reply_id: Some(reply_id.clone()), late: false, already: false };
        self.answered(Request::Complete(vec![done.clone()]), Answer::Completed(vec![Ok(answer)]));
        (done, reply_id)
    }

    /// An author edits the text of a message.
    pub(super) fn edits(&mut self, id: &str) -> Edit {
        let mark = self.mark();
        let text = format!("Edit {mark}.");
        let edit = Edit { id: id.to_owned(), mark, text: Some(text.clone()), ..Edit::default() };
        let message = self.becomes(id, ChangeKind::Edited, |message, _| {
            message.text = text;
            message.eq_score = mark;
        });
        self.answered(Request::Edit(edit.clone()), Answer::Message(Box::new(message)));
        edit
    }

    /// A reader asks for a page after a stamp and is shown these messages, nothing behind them.
    pub(super) fn reads(&mut self, after: i64, limit: u32, ids: &[&str], more: bool) {
        let messages: Vec<Message> = ids.iter().map(|id| self.message(id)).collect();
        let request = Request::Page { domain: "lobby".to_owned(), from: From::Stamp(after), limit };
        let next = self.log.cursor();
        self.answered(request, Answer::Page { messages, next, more });
    }

    /// A watcher sees these changes after a cursor.
    pub(super) fn watches(&mut self, after: u64, seen: &[u64]) -> &mut Watched {
        let of = |seq: &u64| self.log.change(*seq).expect("it is in the log").clone();
        let changes = seen.iter().map(of).collect();
        let (by, domain, epoch) = ("bob".to_owned(), String::new(), "e".to_owned());
        self.history.watched.push(Watched {
            by,
            domain,
            from: format!("e.{after}"),
            epoch,
            resumed: true,
            changes,
        });
        self.history.watched.last_mut().expect("it was just pushed")
    }
}
