//! The handshake fields that HTTP/1.1 has for websocket and HTTP/2 has not (RFC 6455 §4, RFC 8441 §5.1).

use sha1_smol::Sha1;

/// The `sec-websocket-accept` that answers this `sec-websocket-key` (RFC 6455 §4.2.2).
#[must_use]
pub fn websocket_accept(key: &[u8]) -> [u8; 28] {
    let mut hash = Sha1::new();
    hash.update(key);
    hash.update(GUID);
    let mut accept = [0; 28];
    base64(&hash.digest().bytes(), &mut accept);
    accept
}

/// The `sec-websocket-key` of this nonce (RFC 6455 §4.1).
pub(super) fn websocket_key(nonce: [u8; 16]) -> [u8; 24] {
    let mut key = [0; 24];
    base64(&nonce, &mut key);
    key
}

/// Base64 with padding (RFC 4648 §4); `out` has four bytes for every three begun.
fn base64(bytes: &[u8], out: &mut [u8]) {
    for (three, four) in bytes.chunks(3).zip(out.chunks_exact_mut(4)) {
        let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for (digit, place) in four.iter_mut().enumerate() {
            let index = bits >> (18 - 6 * digit) & 0x3f;
            *place = if digit > three.len() { b'=' } else { ALPHABET[index as usize] };
        }
    }
}

const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
