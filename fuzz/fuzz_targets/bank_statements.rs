#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| payops_channels::fuzzing::bank_statements(bytes));
