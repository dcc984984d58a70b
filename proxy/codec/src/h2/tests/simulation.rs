//! Two engines back to back over a link that cuts bytes anywhere: seeded, so that a failure repeats.

use std::collections::BTreeMap;

use super::*;

/// Marsaglia's xorshift64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).expect("small")
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

/// One side's view of one exchange.
#[derive(Default)]
struct Exchange {
    /// What is sent, and how much of it was accepted.
    body: Vec<u8>,
    accepted: usize,
    with_trailers: bool,
    /// The body may be sent: not waiting for `Writable`.
    ready: bool,
    sent_all: bool,
    received: Vec<u8>,
    heads: usize,
    trailers: bool,
    ended: bool,
    reset: Option<ErrorCode>,
}

struct Side {
    connection: Connection,
    exchanges: BTreeMap<u32, Exchange>,
    inbox: Vec<u8>,
    /// Exchanges let go of, to be compared.
    finished: BTreeMap<u32, Exchange>,
}

struct World {
    random: Random,
    client: Side,
    server: Side,
    now: u64,
    requests_left: usize,
    body_max: usize,
    resets: bool,
}

fn body(id: u32, length: usize) -> Vec<u8> {
    (0..length).map(|at| (at as u64 * 31 + u64::from(id) * 7 + (at as u64 >> 8)).to_le_bytes()[0]).collect()
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let window = random.of(&[1, 64, 1000, 16_384, 65_536, 200_000]);
        let limits = |random: &mut Random| Limits {
            stream_window: window,
            connection_window: random.of(&[65_535, 100_000, 1 << 20]),
            streams: random.of(&[1, 3, 100]),
            out_bytes: random.of(&[50, 5_000, 128 * 1024]),
            // An honest peer with a window of one byte is what the budgets are against.
            window_updates: u32::MAX,
            small_data: u32::MAX,
            control_bytes: 1 << 20,
            resets: u32::MAX,
            ..Limits::default()
        };
        let side = |role, limits: Limits| Side {
            connection: Connection::new(role, &limits),
            exchanges: BTreeMap::new(),
            inbox: Vec::new(),
            finished: BTreeMap::new(),
        };
        let sides = [limits(&mut random), limits(&mut random)];
        let narrow = window < 1000 || sides.iter().any(|limits| limits.out_bytes < 1000);
        Self {
            client: side(Role::Client, sides[0]),
            server: side(Role::Server, sides[1]),
            now: 0,
            requests_left: 5 + random.below(40),
            body_max: if narrow { 300 } else { 150_000 },
            resets: random.one_in(2),
            random,
        }
    }

    fn open(&mut self) {
        let length = if self.random.one_in(4) { 0 } else { self.random.below(self.body_max) };
        let with_trailers = self.random.one_in(3);
        let end = length == 0 && !with_trailers;
        let Some(id) = self.client.connection.open(write(if end { GET } else { POST }), end) else { return };
        self.requests_left -= 1;
        let exchange = Exchange {
            body: body(id.0, length),
            with_trailers,
            ready: true,
            sent_all: end,
            ..Exchange::default()
        };
        self.client.exchanges.insert(id.0, exchange);
    }

    /// Moves some bytes over the link.
    fn deliver(&mut self) {
        let Self { random, client, server, .. } = self;
        let (from, to) = if random.one_in(2) { (client, server) } else { (server, client) };
        let pending = from.connection.out();
        let count = random.below(pending.len() + 1).min(random.of(&[1, 10, 1000, 100_000]));
        to.inbox.extend_from_slice(&pending[..count]);
        from.connection.sent(count);
    }

    fn step(&mut self) {
        self.now += 10_000_000;
        if self.requests_left > 0 && self.random.one_in(3) {
            self.open();
        }
        self.deliver();
        for role in [Role::Client, Role::Server] {
            let side = if role == Role::Client { &mut self.client } else { &mut self.server };
            let mut events = Vec::new();
            let taken = side.connection.receive(&side.inbox, self.now, &mut events).expect("honest peers");
            side.inbox.drain(..taken);
            handle(side, role, &events);
            drive(side, role, &mut self.random, self.resets);
            events.clear();
            side.connection.wake(self.now, &mut events);
            handle(side, role, &events);
        }
    }

    fn is_over(&self) -> bool {
        let quiet = |side: &Side| {
            side.exchanges.is_empty() && side.inbox.is_empty() && side.connection.out().is_empty()
        };
        self.requests_left == 0 && quiet(&self.client) && quiet(&self.server)
    }
}

fn handle(side: &mut Side, role: Role, events: &[Event]) {
    let Side { connection, exchanges, .. } = side;
    for event in events {
        match *event {
            Event::Head { stream, end } => {
                let head = connection.head(stream).expect("an announced head");
                if role == Role::Server {
                    assert_eq!(head.authority(), Some(&b"a.test"[..]));
                    let fresh = exchanges.insert(stream.0, Exchange { ready: true, ..Exchange::default() });
                    assert!(fresh.is_none(), "a stream begins once");
                } else {
                    assert_eq!(head.status(), 200);
                }
                connection.recycle(head);
                let exchange = exchanges.get_mut(&stream.0).expect("known");
                exchange.heads += 1;
                exchange.ended = end;
            }
            Event::Trailers { stream } => {
                let trailers = connection.trailers(stream).expect("announced trailers");
                assert_eq!(trailers.lines(), b"checksum: right\r\n");
                exchanges.get_mut(&stream.0).expect("known").trailers = true;
            }
            Event::End { stream } => exchanges.get_mut(&stream.0).expect("known").ended = true,
            Event::Reset { stream, code } => exchanges.get_mut(&stream.0).expect("known").reset = Some(code),
            Event::Writable { stream } => {
                if let Some(exchange) = exchanges.get_mut(&stream.0) {
                    exchange.ready = true;
                }
            }
            Event::Data { .. } | Event::Settings | Event::Limit(LimitHit::Streams) => {}
            other => panic!("{other:?} between honest peers"),
        }
    }
}

/// The user of one side: consumes, sends, gives up, lets go.
fn drive(side: &mut Side, role: Role, random: &mut Random, resets: bool) {
    let ids: Vec<u32> = side.exchanges.keys().copied().collect();
    for id in ids {
        let stream = StreamId(id);
        let exchange = side.exchanges.get_mut(&id).expect("listed");
        let available = side.connection.data(stream);
        let count = random.below(available.len() + 1).max(available.len().min(1));
        exchange.received.extend_from_slice(&available[..count]);
        side.connection.consume(stream, count);
        if role == Role::Server && exchange.ended && !exchange.sent_all && exchange.body.is_empty() {
            // Echo: once the request is whole.
            if side.connection.ended(stream) {
                exchange.body = exchange.received.clone();
                exchange.with_trailers = exchange.trailers;
                let end = exchange.body.is_empty() && !exchange.with_trailers;
                side.connection.send_fields(stream, write(OK), end);
                exchange.sent_all = end;
            } else {
                continue;
            }
        }
        let may_send = role == Role::Client || !exchange.body.is_empty() || exchange.with_trailers;
        if may_send && exchange.ready && !exchange.sent_all && exchange.reset.is_none() {
            send(&mut side.connection, stream, exchange, random);
        }
        let whole = exchange.sent_all && exchange.ended && side.connection.ended(stream);
        if resets && random.one_in(400) && !whole && exchange.reset.is_none() {
            side.connection.reset(stream, ErrorCode::CANCEL);
            exchange.reset = Some(ErrorCode::CANCEL);
        }
        if whole || exchange.reset.is_some() {
            side.connection.close(stream);
            let exchange = side.exchanges.remove(&id).expect("listed");
            side.finished.insert(id, exchange);
        }
    }
}

fn send(connection: &mut Connection, stream: StreamId, exchange: &mut Exchange, random: &mut Random) {
    let rest = &exchange.body[exchange.accepted..];
    let offered = if random.one_in(2) { rest.len() } else { random.below(rest.len() + 1) };
    let last = offered == rest.len();
    let accepted = connection.send_data(stream, &rest[..offered], last && !exchange.with_trailers);
    exchange.accepted += accepted;
    if accepted < offered {
        exchange.ready = false;
        return;
    }
    if last {
        if exchange.with_trailers {
            connection.send_fields(stream, write(&[("checksum", "right")]), true);
        }
        exchange.sent_all = true;
    }
}

fn check(world: &World, seed: u64) {
    for (id, of_client) in &world.client.finished {
        let refused = of_client.reset.is_some();
        let Some(of_server) = world.server.finished.get(id) else {
            assert!(refused, "seed {seed}: stream {id} is unknown to the server");
            continue;
        };
        if refused || of_server.reset.is_some() {
            assert!(of_client.body.starts_with(&of_server.received), "seed {seed}: stream {id}");
            continue;
        }
        assert_eq!((of_client.heads, of_server.heads), (1, 1), "seed {seed}: stream {id}");
        assert!(of_server.received == of_client.body, "seed {seed}: the request of stream {id}");
        assert!(of_client.received == of_client.body, "seed {seed}: the response of stream {id}");
        assert_eq!(of_client.trailers, of_client.with_trailers, "seed {seed}: stream {id}");
    }
    for (side, other) in [(&world.client, &world.server), (&world.server, &world.client)] {
        let (ours, theirs) = (&side.connection, &other.connection);
        assert_eq!((ours.streams.len(), ours.open), (0, 0), "seed {seed}: a stream leaked");
        assert!(ours.queue.is_empty() || ours.windows.send <= 0, "seed {seed}: {:?}", ours.queue);
        let window = i64::from(ours.limits.connection_window);
        assert_eq!(
            ours.windows.recv + i64::from(ours.windows.uncredited),
            window,
            "seed {seed}: window lost"
        );
        assert_eq!(ours.windows.recv, theirs.windows.send, "seed {seed}: the sides disagree");
    }
}

#[test]
fn nothing_is_lost_and_everything_is_accounted() {
    for seed in 1..=150 {
        let mut world = World::new(seed);
        let mut steps = 0;
        while !world.is_over() {
            world.step();
            steps += 1;
            assert!(steps < 400_000, "seed {seed}: stuck, {} exchanges", world.client.exchanges.len());
        }
        check(&world, seed);
    }
}
