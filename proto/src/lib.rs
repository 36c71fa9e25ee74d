//! Repartee's gRPC contract: the types, clients and server traits generated from `proto/repartee/v1/*.proto`.
//!
//! This crate holds no behaviour but one conversion: of an item's error to and from a call's. What the fields mean stands in
//! the proto files, which are the contract.

use prost::Message as _;
use tonic::{Code, Status};

/// Package `repartee.v1`.
pub mod v1 {
    // Generated: its docs are the comments of the proto files, its style is the generator's.
    #![allow(missing_docs, unreachable_pub, unused_qualifications, clippy::all)]
    tonic::include_proto!("repartee.v1");
}

/// The encoded `FileDescriptorSet` of the contract and of what it imports, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

impl From<&Status> for v1::ItemStatus {
    /// The error of a call as that of an item: code, message and details are the same.
    fn from(status: &Status) -> Self {
        // Details that are none would have been no use to the caller either.
        let details = Self::decode(status.details()).map(|whole| whole.details).unwrap_or_default();
        Self { code: status.code().into(), message: status.message().to_owned(), details }
    }
}

impl From<v1::ItemStatus> for Status {
    /// The error of an item as the call would have answered it.
    fn from(status: v1::ItemStatus) -> Self {
        let code = Code::from_i32(status.code);
        if status.details.is_empty() {
            return Self::new(code, status.message);
        }
        let details = status.encode_to_vec().into();
        Self::with_details(code, status.message, details)
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use prost_types::Any;
    use tonic::{Code, Status};

    use crate::v1::ItemStatus;

    #[test]
    fn an_error_is_the_same_as_that_of_an_item_and_back() {
        let details = vec![Any { type_url: "type.googleapis.com/x".into(), value: vec![1, 2] }];
        let whole = ItemStatus { code: Code::NotFound.into(), message: "no such thing".into(), details };
        let details = whole.encode_to_vec().into();
        let status = Status::with_details(Code::NotFound, "no such thing", details);
        let item = ItemStatus::from(&status);
        assert_eq!(item, whole);
        let back = Status::from(item);
        assert_eq!((back.code(), back.message()), (status.code(), status.message()));
        assert_eq!(back.details(), status.details());
        let plain = Status::from(ItemStatus::from(&Status::unavailable("later")));
        assert_eq!((plain.code(), plain.message(), plain.details()), (Code::Unavailable, "later", &[][..]));
    }
}
