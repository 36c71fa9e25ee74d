//! What is stored is read back as it was; what this program cannot read, it says so.

use proptest::prelude::*;

use super::samples::{KINDS, act, block, change, record, requested};
use crate::{
    domain::{Change, RequestKey},
    journal::{
        FormatError,
        keys::Key,
        stored::{
            StoredAct, StoredBlock, StoredCommit, StoredMessage, StoredMeta, StoredRequest, StoredState,
            decode, encode,
        },
    },
};

proptest! {
    #[test]
    fn a_message_survives_its_row(record in record()) {
        let bytes = encode(&StoredMessage::of(&record));
        let again = decode::<StoredMessage>(&bytes).unwrap().into_record(record.content.posted).unwrap();
        prop_assert_eq!(again, record);
    }

    #[test]
    fn a_live_state_survives_its_row(record in record()) {
        let again = decode::<StoredState>(&encode(&StoredState::of(&record.state))).unwrap();
        prop_assert_eq!(again.into_state().unwrap(), record.state);
    }

    #[test]
    fn a_commit_survives_its_row(stamp: i64, changes in prop::collection::vec(change(), 1..5)) {
        let again = decode::<StoredCommit>(&encode(&StoredCommit::of(stamp, &changes))).unwrap();
        prop_assert_eq!(again.stamp, stamp);
        prop_assert_eq!(again.changes.len(), changes.len());
        for (stored, change) in again.changes.iter().zip(&changes) {
            prop_assert_eq!(&again.domains[stored.domain as usize], &change.record.content.domain);
            prop_assert_eq!(stored.seq(), change.seq());
            prop_assert_eq!(stored.posted, change.record.content.posted);
            let posted_in = change.record.content.conversation.filter(|_| stored.is_post());
            prop_assert_eq!(stored.posted_in().unwrap(), posted_in);
            // The message's row as it was at this change.
            prop_assert_eq!(&stored.to_change(&change.record).unwrap(), change);
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
        prop_assume!(version != 2);
        let mut bytes = encode(&StoredMessage::of(&record));
        bytes[0] = version;
        let refusal = decode::<StoredMessage>(&bytes).unwrap_err();
        prop_assert!(matches!(refusal, FormatError::Version(found) if found == version));
    }

    #[test]
    fn fields_of_a_later_version_of_the_program_are_passed_over(record in record()) {
        let mut bytes = encode(&StoredMessage::of(&record));
        // Field 1000, a number, 7.
        bytes.extend([0xc0, 0x3e, 7]);
        let again = decode::<StoredMessage>(&bytes).unwrap().into_record(record.content.posted).unwrap();
        prop_assert_eq!(again, record);
    }

    #[test]
    fn no_bytes_make_reading_panic(bytes: Vec<u8>) {
        let bytes = [&[2][..], &bytes].concat();
        let _ = decode::<StoredMessage>(&bytes).map(|row| row.into_record(1));
        let _ = decode::<StoredState>(&bytes).map(StoredState::into_state);
        let _ = decode::<StoredCommit>(&bytes).map(|row| row.changes.iter().all(|c| c.posted_in().is_ok()));
        let _ = decode::<StoredRequest>(&bytes).map(|row| row.into_requested(RequestKey([0; 16])));
    }
}

#[test]
fn another_version_is_refused_in_words_that_say_what_to_do() {
    let refusal = decode::<StoredMeta>(&[3]).unwrap_err().to_string();
    assert_eq!(
        refusal,
        "it has format version 3, this program reads 2; start the version that wrote it, or a newer one"
    );
}

#[test]
fn an_empty_row_is_damaged() {
    let refusal = decode::<StoredMeta>(&[]).unwrap_err().to_string();
    assert_eq!(refusal, "it is damaged: its field version makes no sense");
}

#[test]
fn every_kind_of_change_has_a_number_of_its_own() {
    let record = sample();
    for kind in KINDS {
        let change = Change { kind, record: record.clone(), request: None };
        let stored = decode::<StoredCommit>(&encode(&StoredCommit::of(0, &[change]))).unwrap();
        assert_eq!(stored.changes[0].to_change(&record).unwrap().kind, kind);
    }
}

#[test]
fn a_commit_names_each_domain_once() {
    let changes = vec![Change { kind: KINDS[0], record: sample(), request: None }; 3];
    assert_eq!(StoredCommit::of(0, &changes).domains.len(), 1);
}

#[test]
fn a_deletion_reaches_back_into_earlier_changes_and_takes_errors_that_may_quote_the_text() {
    let mut earlier = sample();
    earlier.state.work.as_mut().unwrap().errors = vec!["cannot answer \"my phone number is\"".to_owned()];
    let mut now = earlier.clone();
    now.state.deleted = true;
    let change = Change { kind: KINDS[0], record: earlier, request: None };
    let read = StoredCommit::of(0, &[change]).changes[0].to_change(&now).unwrap();
    assert!(read.record.state.deleted);
    assert_eq!(read.record.state.work.unwrap().errors, [""; 0]);
}

fn sample() -> crate::domain::Record {
    let mut lived = crate::domain::tests::history::Lived::new(crate::domain::tests::world::ids());
    lived.world.post(crate::domain::tests::world::question("ann", "bot"))
}
