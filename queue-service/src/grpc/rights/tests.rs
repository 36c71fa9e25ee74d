//! Callers with and without tokens, from here and from elsewhere.

use tonic::{Code, metadata::MetadataValue, transport::server::TcpConnectInfo};

use super::*;

/// The token of operators.
const TOKEN: &str = "of-the-house";
/// Peers of the connection: on this machine, and elsewhere.
const HERE: &str = "127.0.0.1";
const ELSEWHERE: &str = "203.0.113.7";

fn rights(admin: Option<&str>) -> (Rights, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let edits = EditSecret::open(folder.path()).expect("it is empty");
    (Rights { admin: admin.map(|token| token.parse().expect("any text is a secret")), edits }, folder)
}

/// A call of a peer, for everybody in `chain`, with this Authorization header.
fn call(peer: &str, chain: Option<&str>, authorization: Option<&str>) -> Request<()> {
    let mut request = Request::new(());
    let remote_addr = format!("{peer}:4711").parse().ok();
    request.extensions_mut().insert(TcpConnectInfo { local_addr: None, remote_addr });
    for (name, value) in [("x-forwarded-for", chain), ("authorization", authorization)] {
        if let Some(value) = value {
            request.metadata_mut().insert(name, value.parse().expect("visible ASCII"));
        }
    }
    request
}

fn code<T>(judged: Result<T, Status>) -> Code {
    judged.map_or_else(|status| status.code(), |_| Code::Ok)
}

#[test]
fn work_and_operations_are_open_to_callers_here_and_with_the_token_to_callers_elsewhere() {
    use Code::{Ok, PermissionDenied, Unauthenticated};
    let (with, without) = (rights(Some(TOKEN)).0, rights(None).0);
    let (right, wrong) = (Some("Bearer of-the-house"), Some("Bearer of-another-house"));
    for (peer, chain, header, with_token, without_token) in [
        (HERE, None, None, Ok, Ok),
        (HERE, Some("127.0.0.1, ::1"), None, Ok, Ok),
        (HERE, Some(ELSEWHERE), None, Unauthenticated, Unauthenticated),
        (ELSEWHERE, None, None, Unauthenticated, Unauthenticated),
        (ELSEWHERE, Some(HERE), None, Unauthenticated, Unauthenticated),
        (HERE, None, right, Ok, Ok),
        (HERE, Some(ELSEWHERE), right, Ok, Unauthenticated),
        (ELSEWHERE, None, right, Ok, Unauthenticated),
        (ELSEWHERE, None, Some("bearer  of-the-house "), Ok, Unauthenticated),
        (HERE, None, wrong, PermissionDenied, Ok),
        (ELSEWHERE, None, wrong, PermissionDenied, Unauthenticated),
        (HERE, None, Some("Basic of-the-house"), Ok, Ok),
        (ELSEWHERE, None, Some("Basic of-the-house"), Unauthenticated, Unauthenticated),
    ] {
        let request = call(peer, chain, header);
        let judged = [&with, &without].map(|rights| code(rights.work_or_operate(&request)));
        assert_eq!(judged, [with_token, without_token], "{peer} for {chain:?} with {header:?}");
    }
}

#[test]
fn a_token_that_cannot_be_read_is_a_wrong_one() {
    let (rights, _folder) = rights(Some(TOKEN));
    let mut request = call(HERE, None, None);
    let unreadable = MetadataValue::try_from(&b"Bearer t\xf6ken"[..]).expect("opaque bytes may be sent");
    request.metadata_mut().insert("authorization", unreadable);
    assert_eq!(code(rights.work_or_operate(&request)), Code::PermissionDenied);
    assert_eq!(code(rights.change(&request, Uuid::from_u128(7))), Code::PermissionDenied);
}

#[test]
fn a_message_is_changed_by_its_author_by_operators_and_by_callers_here_without_a_token() {
    use Code::{Ok, PermissionDenied, Unauthenticated};
    let (id, other) = (Uuid::from_u128(7), Uuid::from_u128(8));
    for (admin, elsewhere) in [(Some(TOKEN), Ok), (None, PermissionDenied)] {
        let (rights, _folder) = rights(admin);
        let bearer = |token: &str| format!("Bearer {token}");
        let [author, stranger] = [id, other].map(|id| bearer(&rights.edits.token(id)));
        let (operator, wrong) = (bearer(TOKEN), bearer("of-another-house"));
        // Without a token of operators there is nothing to tell a wrong one by, of a caller who needs none.
        let unknown = if admin.is_some() { PermissionDenied } else { Ok };
        for (peer, chain, header, expected) in [
            (HERE, None, None, Ok),
            (HERE, Some(HERE), None, Ok),
            (HERE, Some(ELSEWHERE), None, Unauthenticated),
            (ELSEWHERE, None, None, Unauthenticated),
            (ELSEWHERE, None, Some(&author), Ok),
            (HERE, Some(ELSEWHERE), Some(&author), Ok),
            (ELSEWHERE, None, Some(&stranger), PermissionDenied),
            (HERE, Some(HERE), Some(&stranger), PermissionDenied),
            (HERE, None, Some(&operator), Ok),
            (ELSEWHERE, None, Some(&operator), elsewhere),
            (HERE, Some(ELSEWHERE), Some(&operator), elsewhere),
            (HERE, Some(HERE), Some(&wrong), PermissionDenied),
            (ELSEWHERE, None, Some(&wrong), PermissionDenied),
            (HERE, None, Some(&wrong), unknown),
            (HERE, None, Some(&"Basic b2Y=".to_owned()), Unauthenticated),
        ] {
            let request = call(peer, chain, header.map(String::as_str));
            let judged = code(rights.change(&request, id));
            assert_eq!(judged, expected, "{admin:?}: {peer} for {chain:?} with {header:?}");
        }
    }
}

#[test]
fn a_chain_is_local_only_where_every_address_is_loopback() {
    let (rights, _folder) = rights(None);
    let local = |chain| rights.work_or_operate(&call(HERE, chain, None)).is_ok();
    assert!(local(None));
    for chain in ["127.0.0.1", "127.0.0.1, ::1, ::ffff:127.0.0.1"] {
        assert!(local(Some(chain)), "{chain}");
    }
    for chain in ["203.0.113.7", "127.0.0.1, 203.0.113.7", "unknown", ""] {
        assert!(!local(Some(chain)), "{chain}");
    }
}
