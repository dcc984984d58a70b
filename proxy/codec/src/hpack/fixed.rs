//! The static table (RFC 7541 appendix A), and what the encoder does with the fields it knows.

/// How the encoder writes a field that the static table does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Policy {
    /// Into the dynamic table: the usual case, values repeat on a connection.
    Index,
    /// Into the dynamic table when it is seen again: some peers repeat few values (the methods of a gRPC
    /// service), others never (resources by id).
    IndexRepeated,
    /// Not into the table: nearly every value is another one and would only push out those that repeat.
    Literal,
    /// Not into this table nor that of any hop behind (RFC 7541 §7.1.3): a secret that an observer of
    /// lengths could otherwise guess piece by piece.
    Never,
}

/// What is known about the name of a field.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    name: &'static [u8],
    /// First entry of this name in the static table, 0 if there is none.
    pub(super) index: u8,
    /// How many entries of this name hold a value.
    values: u8,
    pub(super) policy: Policy,
}

impl Known {
    /// The entry of the static table that holds this value.
    pub(super) fn exact(&self, value: &[u8]) -> Option<u8> {
        (self.index..self.index + self.values).find(|&index| TABLE[usize::from(index) - 1].1 == value)
    }
}

/// What is known about this name.
pub(super) fn known(name: &[u8]) -> &'static Known {
    let mut slot = slot(name);
    loop {
        let at = usize::from(SLOTS[slot]);
        if at == 0 {
            return &KNOWN[0];
        }
        let known = &KNOWN[at];
        if known.name == name {
            return known;
        }
        slot = (slot + 1) % SLOTS.len();
    }
}

const UNKNOWN: Known = Known { name: b"", index: 0, values: 0, policy: Policy::Index };

/// The static table; its first entry has the index 1.
#[rustfmt::skip]
pub(super) static TABLE: [(&[u8], &[u8]); 61] = STATIC;

#[rustfmt::skip]
const STATIC: [(&[u8], &[u8]); 61] = [
    (b":authority", b""), (b":method", b"GET"), (b":method", b"POST"), (b":path", b"/"),
    (b":path", b"/index.html"), (b":scheme", b"http"), (b":scheme", b"https"), (b":status", b"200"),
    (b":status", b"204"), (b":status", b"206"), (b":status", b"304"), (b":status", b"400"),
    (b":status", b"404"), (b":status", b"500"), (b"accept-charset", b""),
    (b"accept-encoding", b"gzip, deflate"), (b"accept-language", b""), (b"accept-ranges", b""),
    (b"accept", b""), (b"access-control-allow-origin", b""), (b"age", b""), (b"allow", b""),
    (b"authorization", b""), (b"cache-control", b""), (b"content-disposition", b""),
    (b"content-encoding", b""), (b"content-language", b""), (b"content-length", b""),
    (b"content-location", b""), (b"content-range", b""), (b"content-type", b""), (b"cookie", b""),
    (b"date", b""), (b"etag", b""), (b"expect", b""), (b"expires", b""), (b"from", b""), (b"host", b""),
    (b"if-match", b""), (b"if-modified-since", b""), (b"if-none-match", b""), (b"if-range", b""),
    (b"if-unmodified-since", b""), (b"last-modified", b""), (b"link", b""), (b"location", b""),
    (b"max-forwards", b""), (b"proxy-authenticate", b""), (b"proxy-authorization", b""), (b"range", b""),
    (b"referer", b""), (b"refresh", b""), (b"retry-after", b""), (b"server", b""), (b"set-cookie", b""),
    (b"strict-transport-security", b""), (b"transfer-encoding", b""), (b"user-agent", b""), (b"vary", b""),
    (b"via", b""), (b"www-authenticate", b""),
];

/// Names whose values are not indexed at once. All others are.
#[rustfmt::skip]
const POLICIES: &[(&[u8], Policy)] = &[
    (b":path", Policy::IndexRepeated),
    // Another value with every message or resource.
    (b"age", Policy::Literal), (b"content-disposition", Policy::Literal), (b"content-length", Policy::Literal),
    (b"content-location", Policy::Literal), (b"content-range", Policy::Literal), (b"date", Policy::Literal),
    (b"etag", Policy::Literal), (b"expires", Policy::Literal), (b"if-match", Policy::Literal),
    (b"if-modified-since", Policy::Literal), (b"if-none-match", Policy::Literal),
    (b"if-range", Policy::Literal), (b"if-unmodified-since", Policy::Literal),
    (b"last-modified", Policy::Literal), (b"location", Policy::Literal), (b"range", Policy::Literal),
    (b"retry-after", Policy::Literal), (b"content-digest", Policy::Literal), (b"content-md5", Policy::Literal),
    (b"grpc-message", Policy::Literal), (b"server-timing", Policy::Literal),
    (b"sec-websocket-key", Policy::Literal), (b"sec-websocket-accept", Policy::Literal),
    (b"x-envoy-upstream-service-time", Policy::Literal), (b"x-response-time", Policy::Literal),
    (b"x-runtime", Policy::Literal), (b"x-ratelimit-remaining", Policy::Literal),
    // What is left of a deadline.
    (b"grpc-timeout", Policy::Literal),
    // Identities of one request or trace.
    (b"b3", Policy::Literal), (b"baggage", Policy::Literal), (b"grpc-trace-bin", Policy::Literal),
    (b"idempotency-key", Policy::Literal), (b"request-id", Policy::Literal), (b"traceparent", Policy::Literal),
    (b"tracestate", Policy::Literal), (b"uber-trace-id", Policy::Literal), (b"x-amz-date", Policy::Literal),
    (b"x-amzn-trace-id", Policy::Literal), (b"x-b3-parentspanid", Policy::Literal),
    (b"x-b3-spanid", Policy::Literal), (b"x-b3-traceid", Policy::Literal),
    (b"x-cloud-trace-context", Policy::Literal), (b"x-correlation-id", Policy::Literal),
    (b"x-datadog-parent-id", Policy::Literal), (b"x-datadog-trace-id", Policy::Literal),
    (b"x-request-id", Policy::Literal), (b"x-request-start", Policy::Literal), (b"x-trace-id", Policy::Literal),
    // Secrets.
    (b"authorization", Policy::Never), (b"cookie", Policy::Never), (b"proxy-authorization", Policy::Never),
    (b"set-cookie", Policy::Never), (b"x-amz-security-token", Policy::Never), (b"x-api-key", Policy::Never),
    (b"x-auth-token", Policy::Never), (b"x-csrf-token", Policy::Never), (b"x-xsrf-token", Policy::Never),
];

/// Most names that are known; [`known_names`] fails to compile beyond.
const KNOWN_MAX: usize = 112;

/// The known names, from 1 on; 0 is what is known of any other.
static KNOWN: [Known; KNOWN_MAX] = known_names();

/// Hash table over [`KNOWN`], open addressing; 0 is a free slot.
static SLOTS: [u8; 512] = {
    let known = known_names();
    let mut slots = [0; 512];
    let mut at = 1_u8;
    while (at as usize) < known.len() && !known[at as usize].name.is_empty() {
        let mut slot = slot(known[at as usize].name);
        while slots[slot] != 0 {
            slot = (slot + 1) % slots.len();
        }
        slots[slot] = at;
        at += 1;
    }
    slots
};

/// Where a name is looked for first: its length and three of its bytes, mixed.
const fn slot(name: &[u8]) -> usize {
    if name.is_empty() {
        return 0;
    }
    let bytes = [name[0], name[name.len() / 2], name[name.len() - 1], name.len().to_le_bytes()[0]];
    (u32::from_le_bytes(bytes).wrapping_mul(0x9e37_79b1) >> 23) as usize
}

const fn known_names() -> [Known; KNOWN_MAX] {
    let mut known = [UNKNOWN; KNOWN_MAX];
    let (mut count, mut index) = (1, 1_u8);
    while index as usize <= STATIC.len() {
        let (name, value) = STATIC[index as usize - 1];
        let same = same(known[count - 1].name, name);
        if !same {
            known[count] = Known { name, index, values: 0, policy: policy(name) };
            count += 1;
        }
        if !value.is_empty() {
            known[count - 1].values += 1;
        }
        index += 1;
    }
    let mut at = 0;
    while at < POLICIES.len() {
        let (name, policy) = POLICIES[at];
        if !is_static(name) {
            known[count] = Known { name, index: 0, values: 0, policy };
            count += 1;
        }
        at += 1;
    }
    known
}

const fn is_static(name: &[u8]) -> bool {
    let mut at = 0;
    while at < STATIC.len() {
        if same(STATIC[at].0, name) {
            return true;
        }
        at += 1;
    }
    false
}

const fn policy(name: &[u8]) -> Policy {
    let mut at = 0;
    while at < POLICIES.len() {
        if same(POLICIES[at].0, name) {
            return POLICIES[at].1;
        }
        at += 1;
    }
    Policy::Index
}

const fn same(a: &[u8], b: &[u8]) -> bool {
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}

#[cfg(test)]
mod tests;
