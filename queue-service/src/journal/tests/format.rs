//! What is stored is read back as it was; what this program cannot read, it says so.

use proptest::prelude::*;

use super::samples::{KINDS, act, block, change, record, requested};
use crate::{
    domain::{Change, RequestKey},
    journal::{
        FormatError,
        keys::Key,
        stored::{
            StoredAct, StoredBlock, StoredCommit, StoredMessage, StoredPause, StoredRequest, StoredState,
            decode, encode, errors,
        },
    },
};

proptest! {
    #[test]
    fn a_message_survives_its_row(record in record()) {
        let bytes = encode(&StoredMessage::of(&record.content));
        let again = decode::<StoredMessage>(&bytes).unwrap().into_content(record.content.posted).unwrap();
        prop_assert_eq!(again, (*record.content).clone());
    }

    #[test]
    fn a_state_survives_without_the_errors_that_stand_elsewhere(record in record()) {
        let again = decode::<StoredState>(&encode(&StoredState::of(&record.state))).unwrap();
        prop_assert_eq!(again.into_state(errors(&record.state).to_vec()).unwrap(), record.state);
    }

    #[test]
    fn a_commit_survives_its_row(stamp: i64, changes in prop::collection::vec(change(), 1..5)) {
        let again = decode::<StoredCommit>(&encode(&commit(stamp, &changes))).unwrap();
        prop_assert_eq!(again.time(stamp), stamp.saturating_add(7));
        prop_assert_eq!(again.changes.len(), changes.len());
        for (stored, change) in again.changes.iter().zip(&changes) {
            prop_assert_eq!(&again.domains[stored.domain as usize], &change.record.content.domain);
            prop_assert_eq!(stored.seq(), change.seq());
            prop_assert_eq!(stored.posted, change.record.content.posted);
            let said_in = change.record.content.conversation.filter(|_| stored.has_content());
            prop_assert_eq!(stored.said_in().unwrap(), said_in);
            let errors = errors(&change.record.state).to_vec();
            prop_assert_eq!(stored.has_errors(), !errors.is_empty());
            prop_assert_eq!(&stored.as_it_was(errors, &change.record.content).unwrap(), change);
        }
    }

    #[test]
    fn a_block_survives_its_row_and_its_key(block in block()) {
        let (key, value) = (Key::Block(block.who).to_bytes(), encode(&StoredBlock::of(&block)));
        prop_assert_eq!(decode::<StoredBlock>(&value).unwrap().into_block(&key).unwrap(), block);
    }

    #[test]
    fn an_act_survives_its_row(act in act()) {
        let again = decode::<StoredAct>(&encode(&StoredAct::of(&act))).unwrap().into_act(act.number).unwrap();
        prop_assert_eq!(again, act);
    }

    #[test]
    fn a_request_survives_its_row(request in requested()) {
        let bytes = encode(&StoredRequest::of(&request));
        let again = decode::<StoredRequest>(&bytes).unwrap().into_requested(request.key).unwrap();
        prop_assert_eq!(again, request);
    }

    #[test]
    fn a_row_of_another_version_is_refused_with_its_number(record in record(), version: u8) {
        prop_assume!(version != 3);
        let mut bytes = encode(&StoredMessage::of(&record.content));
        bytes[0] = version;
        let refusal = decode::<StoredMessage>(&bytes).unwrap_err();
        prop_assert!(matches!(refusal, FormatError::Version(found) if found == version));
    }

    #[test]
    fn fields_of_a_later_version_of_the_program_are_passed_over(record in record()) {
        let mut bytes = encode(&StoredMessage::of(&record.content));
        // Field 1000, a number, 7.
        bytes.extend([0xc0, 0x3e, 7]);
        let again = decode::<StoredMessage>(&bytes).unwrap().into_content(record.content.posted).unwrap();
        prop_assert_eq!(again, (*record.content).clone());
    }

    #[test]
    fn no_bytes_make_reading_panic(bytes: Vec<u8>) {
        let bytes = [&[3][..], &bytes].concat();
        let _ = decode::<StoredMessage>(&bytes).map(|row| row.into_content(1));
        let _ = decode::<StoredState>(&bytes).map(|row| row.into_state(Vec::new()));
        let _ = decode::<StoredCommit>(&bytes).map(|row| row.changes.iter().all(|c| c.said_in().is_ok()));
        let _ = decode::<StoredRequest>(&bytes).map(|row| row.into_requested(RequestKey([0; 16])));
    }
}

#[test]
fn another_version_is_refused_in_words_that_say_what_to_do() {
    let refusal = decode::<StoredPause>(&[4]).unwrap_err().to_string();
    assert_eq!(
        refusal,
        "it has format version 4, this program reads 3; start the version that wrote it, or a newer one"
    );
}

#[test]
fn an_empty_row_is_damaged() {
    let refusal = decode::<StoredPause>(&[]).unwrap_err().to_string();
    assert_eq!(refusal, "it is damaged: its field version makes no sense");
}

#[test]
fn every_kind_of_change_has_a_number_of_its_own() {
    let record = sample();
    for kind in KINDS {
        let change = Change { kind, record: record.clone(), request: None };
        let stored = decode::<StoredCommit>(&encode(&commit(0, &[change]))).unwrap();
        assert_eq!(stored.changes[0].kind().unwrap(), kind);
    }
}

#[test]
fn a_commit_names_each_domain_once() {
    let changes = vec![Change { kind: KINDS[0], record: sample(), request: None }; 3];
    assert_eq!(commit(0, &changes).domains.len(), 1);
}

/// A commit that was made 7 ms after its stamp.
fn commit(stamp: i64, changes: &[Change]) -> StoredCommit {
    let mut commit = StoredCommit::new(stamp, stamp.saturating_add(7), stamp);
    changes.iter().for_each(|change| commit.push(change));
    commit
}

fn sample() -> crate::domain::Record {
    let mut lived = crate::domain::tests::history::Lived::new(crate::domain::tests::world::ids());
    lived.world.post(crate::domain::tests::world::question("ann", "bot"))
}
