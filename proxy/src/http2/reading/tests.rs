//! Chunks as they are written.

use super::{CHUNK_OVERHEAD, chunk};

#[test]
fn a_chunk_is_its_size_in_hex_its_data_and_line_ends() {
    for (data, expected) in [("x", "1\r\nx\r\n"), ("0123456789abcdef0", "11\r\n0123456789abcdef0\r\n")] {
        let mut out = Vec::new();
        chunk(data.as_bytes(), |bytes| out.extend_from_slice(bytes));
        assert_eq!(out, expected.as_bytes());
        assert!(out.len() - data.len() <= CHUNK_OVERHEAD);
    }
}
