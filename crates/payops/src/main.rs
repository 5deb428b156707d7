//! Payment operations in one binary: reconciliation, disputes and merchant limits.
fn main() {}
