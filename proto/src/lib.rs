//! Repartee's gRPC contract: the types, clients and server traits generated from `proto/repartee/v1/*.proto`.
//!
//! This crate holds no behaviour. What the fields mean stands in the proto files, which are the contract.

/// Package `repartee.v1`.
pub mod v1 {
    // Generated: its docs are the comments of the proto files, its style is the generator's.
    #![allow(missing_docs, unreachable_pub, unused_qualifications, clippy::all)]
    tonic::include_proto!("repartee.v1");
}

/// The encoded `FileDescriptorSet` of the contract and of what it imports, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
