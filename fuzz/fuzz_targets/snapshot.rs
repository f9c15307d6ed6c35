#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| chatwal_fuzz::targets::snapshot(bytes));
