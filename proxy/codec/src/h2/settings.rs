//! SETTINGS (RFC 9113 §6.5): what the peer said, and what we say.

use super::frame::{self, FRAME_BYTES, MAX_31, WINDOW_INITIAL, kind};
use super::{ConnectionError, ErrorCode, Limits, Role};

/// What the peer's SETTINGS say so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct PeerSettings {
    pub(super) header_table: u32,
    pub(super) streams: u32,
    pub(super) window: u32,
    /// SETTINGS_ENABLE_CONNECT_PROTOCOL (RFC 8441 §3).
    pub(super) extended_connect: bool,
}

impl PeerSettings {
    /// Before the peer has spoken. RFC 9113 knows no bound of streams then; 100 is the least it recommends.
    pub(super) const fn initial() -> Self {
        Self { header_table: 4096, streams: 100, window: WINDOW_INITIAL, extended_connect: false }
    }

    /// Takes the payload of a SETTINGS frame, in order; unknown settings are ignored.
    pub(super) fn apply(&mut self, payload: &[u8], ours: Role) -> Result<(), ConnectionError> {
        if !payload.len().is_multiple_of(ENTRY_BYTES) {
            return Err(ConnectionError::size("SETTINGS of a broken length"));
        }
        for entry in payload.chunks_exact(ENTRY_BYTES) {
            let value = u32::from_be_bytes([entry[2], entry[3], entry[4], entry[5]]);
            self.set(u16::from_be_bytes([entry[0], entry[1]]), value, ours)?;
        }
        Ok(())
    }

    fn set(&mut self, id: u16, value: u32, ours: Role) -> Result<(), ConnectionError> {
        match id {
            HEADER_TABLE_SIZE => self.header_table = value,
            // RFC 9113 §6.5.2: of a server it can only be 0, and a client's 1 asks for what we never do.
            ENABLE_PUSH if value > 1 || (value == 1 && ours == Role::Client) => {
                return Err(ConnectionError::protocol("SETTINGS_ENABLE_PUSH"));
            }
            MAX_CONCURRENT_STREAMS => self.streams = value,
            INITIAL_WINDOW_SIZE if value > MAX_31 => {
                return Err(ConnectionError::new(
                    ErrorCode::FLOW_CONTROL_ERROR,
                    "SETTINGS_INITIAL_WINDOW_SIZE",
                ));
            }
            INITIAL_WINDOW_SIZE => self.window = value,
            // Larger frames than the least are allowed to us, not asked of us: DATA goes out in 16 KiB.
            MAX_FRAME_SIZE if value > 0x00ff_ffff || (value as usize) < FRAME_BYTES => {
                return Err(ConnectionError::protocol("SETTINGS_MAX_FRAME_SIZE"));
            }
            // RFC 8441 §3: 0 or 1, and never back to 0.
            ENABLE_CONNECT_PROTOCOL if value > 1 || (value == 0 && self.extended_connect) => {
                return Err(ConnectionError::protocol("SETTINGS_ENABLE_CONNECT_PROTOCOL"));
            }
            ENABLE_CONNECT_PROTOCOL => self.extended_connect = value == 1,
            _ => {}
        }
        Ok(())
    }
}

/// Appends our SETTINGS.
pub(super) fn put_ours(out: &mut Vec<u8>, role: Role, limits: &Limits) {
    let common = [
        (HEADER_TABLE_SIZE, limits.header_table_bytes),
        (INITIAL_WINDOW_SIZE, limits.stream_window),
        (MAX_HEADER_LIST_SIZE, limits.header_list_bytes),
    ];
    let of_role: &[(u16, u32)] = match role {
        Role::Client => &[(ENABLE_PUSH, 0)],
        Role::Server => &[(MAX_CONCURRENT_STREAMS, limits.streams), (ENABLE_CONNECT_PROTOCOL, 1)],
    };
    let count = common.len() + of_role.len();
    frame::put_head(out, count * ENTRY_BYTES, kind::SETTINGS, 0, 0);
    for (id, value) in common.iter().chain(of_role) {
        out.extend_from_slice(&id.to_be_bytes());
        out.extend_from_slice(&value.to_be_bytes());
    }
}

const ENTRY_BYTES: usize = 6;
const HEADER_TABLE_SIZE: u16 = 0x1;
const ENABLE_PUSH: u16 = 0x2;
const MAX_CONCURRENT_STREAMS: u16 = 0x3;
const INITIAL_WINDOW_SIZE: u16 = 0x4;
const MAX_FRAME_SIZE: u16 = 0x5;
const MAX_HEADER_LIST_SIZE: u16 = 0x6;
const ENABLE_CONNECT_PROTOCOL: u16 = 0x8;
