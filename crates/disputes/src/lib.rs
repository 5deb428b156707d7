//! Disputes: what a channel takes back, and the answer to it.
//!
//! [`evidence`] knows what an answer may contain and what this dispute calls for. [`documents`] reads, merges and
//! writes the files of it. Both are pure: bytes and values in, bytes and values out.

pub mod documents;
pub mod evidence;
