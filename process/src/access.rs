//! Who may call what: one table of every gRPC call and every JSON route. Tests compare it with
//! the contract's descriptor and with the gateway's URL table.
//!
//! A call that names authors is open to whoever sends an edit token; whether it is the right one for that message is
//! judged by the call itself.

use std::ops::BitOr;

use crate::Role;

/// Metadata in which a gateway says for which client it asks: an address, or `unknown`. Only a gateway is believed.
pub const CLIENT: &str = "x-repartee-client";
/// Metadata with the Authorization header of the client for whom a gateway asks.
pub const ON_BEHALF: &str = "x-repartee-authorization";
/// Metadata with what stands for a visitor's secret, at most 128 bytes: who sends it knows the secret.
pub const VISITOR: &str = "x-repartee-visitor";
/// Metadata that says that this secret was only made for the answer: the client brought none.
pub const NEW_VISITOR: &str = "x-repartee-new-visitor";

/// A set of kinds of callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Callers(u8);

impl Callers {
    /// Whoever calls, without a token.
    pub const VISITOR: Self = Self(1);
    /// Whoever has the edit token of the message.
    pub const AUTHOR: Self = Self(2);
    /// A worker, for its entities.
    pub const WORKER: Self = Self(4);
    /// A gateway, for itself.
    pub const GATEWAY: Self = Self(8);
    /// An operator.
    pub const OPERATOR: Self = Self(16);
    /// Everybody, with or without a token.
    pub const ANYONE: Self = Self(31);

    /// True if all of `other` are among these.
    pub const fn include(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// True if some of `other` are among these.
    pub const fn meet(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The same, without visitors unless they are `welcome`.
    pub const fn but_visitors_unless(self, welcome: bool) -> Self {
        if welcome { self } else { Self(self.0 & !Self::VISITOR.0) }
    }

    const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Names the tokens that would help, for a refusal: "a worker's or an operator's token". That of a gateway helps nobody
    /// whose call an operator may make.
    pub fn tokens(self) -> &'static str {
        let of = |callers| self.include(callers);
        match (of(Self::AUTHOR), of(Self::WORKER), of(Self::GATEWAY), of(Self::OPERATOR)) {
            (true, _, _, _) => "the edit token of the message, or an operator's token",
            (_, true, _, true) => "a worker's or an operator's token",
            (_, true, _, false) => "a worker's token",
            (_, _, true, false) => "a gateway's token",
            (_, _, _, _) => "an operator's token",
        }
    }
}

impl BitOr for Callers {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.and(other)
    }
}

impl From<Role> for Callers {
    fn from(role: Role) -> Self {
        match role {
            Role::Worker => Self::WORKER,
            Role::Gateway => Self::GATEWAY,
            Role::Operator => Self::OPERATOR,
        }
    }
}

/// Who posts.
const POSTS: Callers = Callers::VISITOR.and(Callers::WORKER).and(Callers::OPERATOR);
/// Who reads the feed.
const READS: Callers = POSTS.and(Callers::GATEWAY);
/// Who changes a message.
const CHANGES: Callers = Callers::AUTHOR.and(Callers::OPERATOR);
/// Who works.
const WORKS: Callers = Callers::WORKER.and(Callers::OPERATOR);
/// Who looks after the queue.
const OPERATES: Callers = Callers::OPERATOR;

/// Every call of `repartee.v1.QueueService`.
#[rustfmt::skip]
pub const CALLS: &[(&str, Callers)] = &[
    ("PostMessage",      POSTS),
    ("PostMessages",     POSTS),
    ("Posts",            POSTS.and(Callers::GATEWAY)),
    ("GetMessage",       READS),
    ("UpdateMessage",    CHANGES),
    ("DeleteMessage",    CHANGES),
    ("ListMessages",     READS),
    ("ListRooms",        READS),
    ("WatchMessages",    READS),
    ("GetConversation",  POSTS),
    ("ListPending",      WORKS),
    ("ListFailed",       OPERATES),
    ("ListWork",         OPERATES),
    ("InspectMessage",   OPERATES),
    ("StreamPending",    WORKS),
    ("Work",             WORKS.and(Callers::GATEWAY)),
    ("ClaimMessage",     WORKS),
    ("ClaimNext",        WORKS),
    ("RenewLeases",      WORKS),
    ("StreamDraft",      WORKS),
    ("ReleaseMessage",   WORKS),
    ("CompleteMessage",  WORKS),
    ("CompleteMessages", WORKS),
    ("FailMessage",      WORKS),
    ("RetryMessage",     OPERATES),
    ("CancelMessage",    CHANGES),
    ("RetryMessages",    OPERATES),
    ("CancelMessages",   OPERATES),
    ("CancelPending",    OPERATES),
    ("PauseEntity",      OPERATES),
    ("ResumeEntity",     OPERATES),
    ("HideMessage",      OPERATES),
    ("RestoreMessage",   OPERATES),
    ("ListHidden",       OPERATES),
    ("BlockSender",      OPERATES),
    ("UnblockSender",    OPERATES),
    ("ListBlocks",       OPERATES),
    ("ListActs",         OPERATES),
    ("GetStats",         OPERATES.and(Callers::GATEWAY)),
    ("Authenticate",     Callers::GATEWAY),
];

/// Every method of every path that the gateway serves, but for the files of its pages, which are for everybody.
#[rustfmt::skip]
pub const ROUTES: &[(&str, &str, Callers)] = &[
    ("GET",    "/api/comments",           Callers::ANYONE),
    ("POST",   "/api/comments",           POSTS),
    ("GET",    "/api/comments/changes",   Callers::ANYONE),
    ("GET",    "/api/comments/stream",    Callers::ANYONE),
    ("GET",    "/api/comments/{id}",      READS),
    ("PATCH",  "/api/comments/{id}",      CHANGES),
    ("DELETE", "/api/comments/{id}",      CHANGES),
    ("GET",    "/api/rooms",              READS),
    ("GET",    "/api/conversation",       POSTS),
    ("GET",    "/api/queue/pending",      WORKS),
    ("POST",   "/api/queue/claim",        WORKS),
    ("POST",   "/api/queue/claim-next",   WORKS),
    ("POST",   "/api/queue/renew",        WORKS),
    ("POST",   "/api/queue/release",      WORKS),
    ("POST",   "/api/queue/complete",     WORKS),
    ("POST",   "/api/queue/fail",         WORKS),
    ("GET",    "/api/queue/failed",       OPERATES),
    ("POST",   "/api/queue/retry",        OPERATES),
    ("POST",   "/api/queue/cancel",       CHANGES),
    ("POST",   "/api/queue/retry-messages", OPERATES),
    ("POST",   "/api/queue/cancel-messages", OPERATES),
    ("POST",   "/api/queue/cancel-pending", OPERATES),
    ("POST",   "/api/queue/pause",        OPERATES),
    ("POST",   "/api/queue/resume",       OPERATES),
    ("GET",    "/api/stats",              OPERATES),
    ("GET",    "/api/admin/history",      OPERATES),
    ("GET",    "/api/admin/chart/{name}", OPERATES),
    ("GET",    "/api/admin/work",         OPERATES),
    ("GET",    "/api/admin/work/{id}",    OPERATES),
    ("POST",   "/api/admin/hide",         OPERATES),
    ("POST",   "/api/admin/restore",      OPERATES),
    ("GET",    "/api/admin/hidden",       OPERATES),
    ("POST",   "/api/admin/block",        OPERATES),
    ("POST",   "/api/admin/unblock",      OPERATES),
    ("GET",    "/api/admin/blocks",       OPERATES),
    ("GET",    "/api/admin/acts",         OPERATES),
    ("GET",    "/livez",                  Callers::ANYONE),
    ("GET",    "/readyz",                 Callers::ANYONE),
    ("GET",    "/metrics",                OPERATES),
    ("GET",    "/openapi.json",           Callers::ANYONE),
    ("GET",    "/docs",                   Callers::ANYONE),
    ("GET",    "/docs/{file}",            Callers::ANYONE),
    ("GET",    "/admin",                  Callers::ANYONE),
    ("GET",    "/",                       Callers::ANYONE),
];

/// Who may make this call; nobody if it is not in the table.
pub fn call(method: &str) -> Option<Callers> {
    CALLS.iter().find(|(name, _)| *name == method).map(|(_, callers)| *callers)
}

/// Who may use this route; nobody if it is not in the table.
pub fn route(method: &str, path: &str) -> Option<Callers> {
    ROUTES.iter().find(|(of, at, _)| *of == method && *at == path).map(|(_, _, callers)| *callers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_stands_in_the_table_twice() {
        for (at, (name, _)) in CALLS.iter().enumerate() {
            assert!(!CALLS[..at].iter().any(|(other, _)| other == name), "{name}");
        }
        for (at, (method, path, _)) in ROUTES.iter().enumerate() {
            assert!(!ROUTES[..at].iter().any(|(m, p, _)| (m, p) == (method, path)), "{method} {path}");
        }
    }

    #[test]
    fn operators_may_do_all_that_workers_and_authors_may_and_nobody_but_gateways_vouches_for_others() {
        for (name, callers) in CALLS {
            let privileged = callers.include(Callers::WORKER) || callers.include(Callers::AUTHOR);
            assert!(!privileged || callers.include(Callers::OPERATOR), "{name}");
        }
        assert_eq!(call("Authenticate"), Some(Callers::GATEWAY));
        assert_eq!((call("DropAll"), route("PUT", "/")), (None, None));
    }
}
