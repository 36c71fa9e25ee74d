//! Every role at every call, and whom a gateway is believed to ask for.

use axum::{body::Body, http::HeaderValue};
use prost::Message as _;
use repartee_process::NewToken;
use repartee_proto::v1::queue_service_server::SERVICE_NAME;
use tempfile::TempDir;
use tonic::Code;

use super::*;

const OWN: &str = "/repartee.v1.QueueService/";

/// Peers of the connection: on this machine, and elsewhere.
const HERE: &str = "127.0.0.1";
const ELSEWHERE: &str = "203.0.113.7";

/// A service with a token of each role.
struct Judge {
    rights: Rights,
    tokens: [String; 3],
    _folder: TempDir,
}

/// What a caller sends as Authorization.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Sent {
    Nothing,
    EditToken,
    Worker,
    Gateway,
    Operator,
}

const ALL: [Sent; 5] = [Sent::Nothing, Sent::EditToken, Sent::Worker, Sent::Gateway, Sent::Operator];

impl Judge {
    /// `loopback`: what the port is bound to.
    fn on(loopback: bool) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let edits = EditSecret::open(folder.path()).expect("it is empty");
        let new = |role, entities: &[String]| NewToken::draw(role, entities, "", None);
        let own = [new(Role::Worker, &["bot".to_owned()]), new(Role::Gateway, &[]), new(Role::Operator, &[])];
        let rights =
            Rights { tokens: Tokens::load(None, &own).unwrap(), edits, visitors: loopback, guesses: None };
        Self { rights, tokens: own.map(|token| token.secret.reveal().to_owned()), _folder: folder }
    }

    fn bearer(&self, sent: Sent) -> Option<String> {
        let token = match sent {
            Sent::Nothing => return None,
            Sent::EditToken => &self.rights.edits.token(Uuid::from_u128(7)),
            Sent::Worker => &self.tokens[0],
            Sent::Gateway => &self.tokens[1],
            Sent::Operator => &self.tokens[2],
        };
        Some(format!("Bearer {token}"))
    }

    fn judge(&self, path: &str, peer: &str, headers: &[(&str, Option<String>)]) -> Result<Caller, Status> {
        let mut request = Request::builder().uri(path).body(Body::empty()).unwrap();
        let remote_addr = format!("{peer}:4711").parse().ok();
        request.extensions_mut().insert(TcpConnectInfo { local_addr: None, remote_addr });
        for (name, value) in headers {
            if let Some(value) = value {
                let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
                request
                    .headers_mut()
                    .insert(axum::http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value);
            }
        }
        self.rights.judge(&request)
    }

    /// A call by its caller.
    fn direct(&self, method: &str, sent: Sent) -> Code {
        code(self.judge(&format!("{OWN}{method}"), HERE, &[("authorization", self.bearer(sent))]))
    }

    /// A call by a gateway for a caller.
    fn passed_on(&self, method: &str, sent: Sent) -> Code {
        let headers = [
            ("authorization", self.bearer(Sent::Gateway)),
            (access::CLIENT, Some(ELSEWHERE.to_owned())),
            (access::ON_BEHALF, self.bearer(sent)),
        ];
        code(self.judge(&format!("{OWN}{method}"), HERE, &headers))
    }
}

fn code(judged: Result<Caller, Status>) -> Code {
    judged.map_or_else(|status| status.code(), |_| Code::Ok)
}

/// What the table says about this caller at this call.
fn expected(callers: Callers, sent: Sent, visitors: bool) -> Code {
    let may = match sent {
        Sent::Nothing => visitors && callers.include(Callers::VISITOR),
        Sent::EditToken => callers.include(Callers::AUTHOR) || visitors && callers.include(Callers::VISITOR),
        Sent::Worker => callers.include(Callers::WORKER),
        Sent::Gateway => callers.include(Callers::GATEWAY),
        Sent::Operator => callers.include(Callers::OPERATOR),
    };
    match sent {
        _ if may => Code::Ok,
        Sent::Nothing => Code::Unauthenticated,
        Sent::EditToken | Sent::Worker | Sent::Gateway | Sent::Operator => Code::PermissionDenied,
    }
}

#[test]
fn the_table_has_every_call_of_the_contract_and_no_other() {
    let set = prost_types::FileDescriptorSet::decode(repartee_proto::FILE_DESCRIPTOR_SET).unwrap();
    let services = set.file.iter().flat_map(|file| {
        file.service.iter().map(move |service| (format!("{}.{}", file.package(), service.name()), service))
    });
    let (_, service) = services.into_iter().find(|(name, _)| name == SERVICE_NAME).unwrap();
    let mut contract: Vec<&str> = service.method.iter().map(|method| method.name()).collect();
    let mut table: Vec<&str> = access::CALLS.iter().map(|(name, _)| *name).collect();
    contract.sort_unstable();
    table.sort_unstable();
    assert_eq!(table, contract);
}

#[test]
fn every_caller_may_make_the_calls_of_the_table_and_no_other() {
    let (loopback, open) = (Judge::on(true), Judge::on(false));
    for (method, callers) in access::CALLS {
        for sent in ALL {
            assert_eq!(loopback.direct(method, sent), expected(*callers, sent, true), "{method} by {sent:?}");
            assert_eq!(
                open.direct(method, sent),
                expected(*callers, sent, false),
                "{method} by {sent:?}, open port"
            );
            // A gateway's token opens nothing to those who call the gateway.
            let by_gateway = match sent {
                Sent::Gateway => Code::PermissionDenied,
                sent => expected(*callers, sent, true),
            };
            for judge in [&loopback, &open] {
                assert_eq!(judge.passed_on(method, sent), by_gateway, "{method} for {sent:?}");
            }
        }
    }
}

#[test]
fn where_a_call_comes_from_gives_no_right_and_takes_none() {
    let judge = Judge::on(true);
    for peer in [HERE, "::1", ELSEWHERE] {
        let peer = if peer.contains(':') { format!("[{peer}]") } else { peer.to_owned() };
        for (name, value) in [
            ("x-forwarded-for", "127.0.0.1"),
            ("x-repartee-client", "127.0.0.1"),
            ("forwarded", "for=127.0.0.1"),
            ("host", "localhost"),
        ] {
            let stats = |sent| {
                let headers = [(name, Some(value.to_owned())), ("authorization", judge.bearer(sent))];
                code(judge.judge(&format!("{OWN}GetStats"), &peer, &headers))
            };
            assert_eq!(stats(Sent::Nothing), Code::Unauthenticated, "{peer} {name}");
            // Who asks for a client has to be a gateway.
            let is_for_client = name == access::CLIENT;
            let operator = if is_for_client { Code::PermissionDenied } else { Code::Ok };
            assert_eq!(stats(Sent::Operator), operator, "{peer} {name}");
        }
    }
}

#[test]
fn only_a_gateway_is_believed_about_its_client() {
    let judge = Judge::on(true);
    let client = |sent, of: Option<&str>| {
        let headers = [("authorization", judge.bearer(sent)), (access::CLIENT, of.map(str::to_owned))];
        judge.judge(&format!("{OWN}PostMessage"), HERE, &headers).unwrap().client
    };
    let address = |text: &str| text.parse::<IpAddr>().ok();
    assert_eq!(client(Sent::Gateway, Some(ELSEWHERE)), address(ELSEWHERE));
    assert_eq!(client(Sent::Gateway, Some("unknown")), None);
    assert_eq!(client(Sent::Nothing, Some(ELSEWHERE)), address(HERE));
}

#[test]
fn a_gateway_with_a_token_of_another_role_asks_for_nobody() {
    use tonic_types::StatusExt as _;

    let judge = Judge::on(true);
    let wrong = Some(format!("Bearer rpt_000000000000_{}", "0".repeat(64)));
    for own in [judge.bearer(Sent::Worker), judge.bearer(Sent::Operator), wrong] {
        for (method, _) in access::CALLS {
            let headers = [("authorization", own.clone()), (access::CLIENT, Some(ELSEWHERE.to_owned()))];
            let refusal = judge.judge(&format!("{OWN}{method}"), HERE, &headers).unwrap_err();
            assert_eq!(refusal.code(), Code::PermissionDenied, "{method}");
            assert_eq!(refusal.get_details_error_info().unwrap().reason, "GATEWAY_REFUSED", "{method}");
        }
    }
}

#[test]
fn a_wrong_token_is_refused_at_every_call_and_counted() {
    let judge = Judge::on(true);
    let wrong = format!("Bearer rpt_000000000000_{}", "0".repeat(64));
    for (method, _) in access::CALLS {
        let path = format!("{OWN}{method}");
        assert_eq!(
            code(judge.judge(&path, HERE, &[("authorization", Some(wrong.clone()))])),
            Code::PermissionDenied
        );
        let for_client = [
            ("authorization", judge.bearer(Sent::Gateway)),
            (access::CLIENT, Some(ELSEWHERE.to_owned())),
            (access::ON_BEHALF, Some(wrong.clone())),
        ];
        assert_eq!(code(judge.judge(&path, HERE, &for_client)), Code::PermissionDenied, "{method}");
    }
}

#[test]
fn health_is_told_to_everybody_and_the_rest_to_whoever_may_call() {
    let (loopback, open) = (Judge::on(true), Judge::on(false));
    let asked = |judge: &Judge, path: &str, sent| {
        code(judge.judge(path, ELSEWHERE, &[("authorization", judge.bearer(sent))]))
    };
    let reflection = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    for sent in ALL {
        assert_eq!(asked(&open, HEALTH_CHECK, sent), Code::Ok);
        assert_eq!(asked(&loopback, reflection, sent), Code::Ok);
    }
    for path in [reflection, "/grpc.health.v1.Health/Watch"] {
        assert_eq!(asked(&open, path, Sent::Nothing), Code::Unauthenticated, "{path}");
        assert_eq!(asked(&open, path, Sent::Worker), Code::Ok, "{path}");
    }
}

#[test]
fn a_call_without_a_line_in_the_table_is_not_there_for_anybody() {
    let (loopback, open) = (Judge::on(true), Judge::on(false));
    for path in ["/repartee.v1.QueueService/NoSuchCall", "/repartee.v2.QueueService/PostMessage", "/", "/x"] {
        for sent in ALL {
            let headers = [("authorization", loopback.bearer(sent))];
            assert_eq!(code(loopback.judge(path, HERE, &headers)), Code::Unimplemented, "{path} by {sent:?}");
        }
        assert_eq!(code(open.judge(path, HERE, &[])), Code::Unauthenticated, "{path}");
    }
}

#[test]
fn an_item_of_a_stream_is_judged_as_the_call_for_which_it_stands() {
    let judge = Judge::on(true);
    let opener =
        |sent| judge.judge(&format!("{OWN}Posts"), HERE, &[("authorization", judge.bearer(sent))]).unwrap();
    for (method, _) in access::CALLS {
        let path = format!("{OWN}{method}");
        for sent in ALL {
            let own = v1::ItemMetadata::default();
            let of_item = code(judge.rights.judge_item(&opener(sent), &path, &own));
            assert_eq!(of_item, judge.direct(method, sent), "{method} by {sent:?}");

            let authorization = judge.bearer(sent).unwrap_or_default();
            let for_client = v1::ItemMetadata { client: ELSEWHERE.into(), authorization, ..own };
            let of_item = code(judge.rights.judge_item(&opener(Sent::Gateway), &path, &for_client));
            assert_eq!(of_item, judge.passed_on(method, sent), "{method} for {sent:?}");
        }
    }
    // Only a gateway asks for others.
    let for_client = v1::ItemMetadata { client: ELSEWHERE.into(), ..v1::ItemMetadata::default() };
    let path = format!("{OWN}PostMessage");
    for sent in [Sent::Worker, Sent::Operator] {
        assert_eq!(code(judge.rights.judge_item(&opener(sent), &path, &for_client)), Code::PermissionDenied);
    }
    let stranger = judge.rights.judge_item(&opener(Sent::Nothing), &path, &for_client).unwrap();
    assert_eq!(stranger.client, HERE.parse().ok(), "nobody is believed about an address");
}

#[test]
fn a_message_is_changed_by_its_author_and_by_operators() {
    let judge = Judge::on(true);
    let change = |sent, id| {
        let headers = [("authorization", judge.bearer(sent))];
        let caller = judge.judge(&format!("{OWN}UpdateMessage"), HERE, &headers).unwrap();
        judge.rights.change(&caller, Uuid::from_u128(id)).map_or_else(|status| status.code(), |_| Code::Ok)
    };
    assert_eq!((change(Sent::EditToken, 7), change(Sent::EditToken, 8)), (Code::Ok, Code::PermissionDenied));
    assert_eq!((change(Sent::Operator, 7), change(Sent::Operator, 8)), (Code::Ok, Code::Ok));
}

#[test]
fn a_key_belongs_to_the_token_or_the_visitor_or_the_address() {
    let judge = Judge::on(true);
    let of = |sent, client: &str, visitor: Option<&str>| {
        let headers = [
            ("authorization", judge.bearer(Sent::Gateway)),
            (access::CLIENT, Some(client.to_owned())),
            (access::ON_BEHALF, judge.bearer(sent)),
            (access::VISITOR, visitor.map(str::to_owned)),
        ];
        let caller = judge.judge(&format!("{OWN}PostMessage"), HERE, &headers).unwrap();
        let sender = caller.sender(&judge.rights.edits);
        (sender, caller.scope(sender))
    };
    let (nobody, worker) = (Sent::Nothing, Sent::Worker);
    assert_eq!(of(nobody, ELSEWHERE, Some("ann")).1, of(nobody, HERE, Some("ann")).1, "wherever she is");
    assert_ne!(of(nobody, HERE, Some("ann")).1, of(nobody, HERE, Some("bea")).1, "in one house");
    assert_eq!(of(nobody, "2001:db8::1", None), of(nobody, "2001:db8::ffff", None), "one household");
    assert_ne!(of(nobody, "2001:db8::1", None), of(nobody, "2001:db8:0:1::1", None));
    assert_ne!(of(nobody, HERE, None), of(nobody, ELSEWHERE, None));
    assert_eq!(of(nobody, HERE, None), of(nobody, "::ffff:127.0.0.1", None));
    assert_eq!(of(worker, HERE, Some("ann")), of(worker, ELSEWHERE, None), "a worker has no share");
    assert_eq!(of(worker, HERE, None).0, None);
    let shared = of(nobody, HERE, Some("ann")).0.unwrap();
    assert_eq!(shared.address, of(nobody, HERE, None).0.unwrap().address);
    assert_ne!(shared.author, shared.address);
}
