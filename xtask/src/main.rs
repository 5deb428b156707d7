//! Developer commands: test, bench, openapi.
fn main() {}
