//! Request smuggling, every class of it, in every pair of versions: what one reader takes for the end of
//! a message must be its end for all. The endpoints write down what they are sent, byte by byte or frame
//! by frame; no client's request reaches them in another's, and no client gets another's answer.

mod bodies;
mod http1;
mod http2;
mod responses;
mod upgrades;

use tests::client::Client;
use tests::h2::{self, Endpoint, headers};
use tests::lab::NODE_V4;
use tests::objects::{documents, gateway, service};
use tests::{Recorder, Weir, until};

use crate::fleet::h2c;
use crate::world::World;

/// A Gateway on 8080 with routes for `/h1` and `/h2` alone, each to an endpoint that speaks that version.
/// `/smuggled` has no route: it can only come to an endpoint in the belly of another request.
struct Site {
    plain: Recorder,
    h2: Endpoint,
    weir: Weir,
    world: World,
}

/// How much the endpoints have been sent so far.
#[derive(Debug, PartialEq, Eq)]
struct Sent {
    bytes: usize,
    streams: usize,
}

impl Site {
    fn start() -> Self {
        let world = World::new();
        let at = |port| [(world.api.v4.into(), port)];
        world.lab.write(
            "pods.yaml",
            &documents(&[
                world.pods(),
                gateway("web", 8080, &[]),
                service("h1", &["10.96.0.1"], 80, &at(81)),
                h2c(&service("h2", &["10.96.0.2"], 80, &at(82))),
                ROUTES.into(),
            ]),
        );
        let plain = Recorder::with(&world.api.ns, world.api.at(81), |message| {
            let early = message.asked().ends_with("/early");
            (early || message.ended).then(|| Recorder::echo(message))
        });
        let settings = [(h2::ENABLE_CONNECT_PROTOCOL, 1)];
        let h2 = Endpoint::with(&world.api.ns, world.api.at(82), &settings, |seen| match seen.path() {
            "/h2/upgrade" if seen.field(":protocol").is_some() => {
                (!seen.ended).then(|| headers(seen.stream, &[(":status", "403")], true))
            }
            "/h2/early" => (seen.body.is_empty() && !seen.ended).then(|| Endpoint::echo(seen)),
            _ => seen.ended.then(|| Endpoint::echo(seen)),
        });
        Self { plain, h2, weir: Weir::start(&world.lab), world }
    }

    fn client(&self) -> Client {
        Client::connect(&self.world.frontend, (NODE_V4, 8080).into()).unwrap()
    }

    fn h2_client(&self) -> h2::Client {
        h2::Client::connect(&self.world.frontend, (NODE_V4, 8080).into()).unwrap()
    }

    fn sent(&self) -> Sent {
        let bytes = self.plain.raw().iter().map(Vec::len).sum();
        Sent { bytes, streams: self.h2.seen().len() }
    }

    /// Bytes in HTTP/1.1 that are refused: this status, a close, and no endpoint hears of them.
    fn refuses(&self, what: &str, bytes: &str, status: u16) {
        let before = self.sent();
        let mut client = self.client();
        // The answer may come before the last byte is taken.
        client.send(bytes).ok();
        let answer = client.response().unwrap_or_else(|error| panic!("{what}: {error}\n{bytes}"));
        assert_eq!(answer.status, status, "{what}\n{bytes}");
        assert_eq!(client.rest().unwrap(), b"", "{what}: not closed\n{bytes}");
        assert_eq!(self.sent(), before, "{what}: an endpoint heard of it\n{bytes}");
    }

    /// What holds after whatever was sent: another client of the same endpoints gets its own answer, on
    /// whichever connection is used again, and no endpoint saw the request that was smuggled.
    fn is_sound(&self, what: &str) {
        for path in ["/h1/victim", "/h2/victim"] {
            // More than one, as a poisoned connection may not be the first to be used again.
            for _ in 0..2 {
                let answer = self.client().get(path).unwrap_or_else(|error| panic!("{what}: {error}"));
                assert_eq!((answer.status, answer.text()), (200, format!("GET {path}")), "after {what}");
            }
        }
        for message in self.plain.messages() {
            assert!(message.asked().contains(" /h1"), "{what}: the endpoint was asked {:?}", message.line());
        }
        for seen in self.h2.seen() {
            assert!(seen.path().starts_with("/h2"), "{what}: the endpoint was asked {seen:?}");
        }
    }

    /// Whether the endpoints saw a whole request of this path, and have seen the end of it by now: the
    /// victims that came after it, on connections kept, are whole.
    fn saw_whole(&self, path: &str) -> bool {
        let plain = self.plain.messages().iter().any(|one| one.ended && one.asked().ends_with(path));
        plain || self.h2.seen().iter().any(|one| one.ended && one.path() == path)
    }

    /// Waits until the endpoint has seen a request of this path whole: its body without framing.
    fn body_of(&self, path: &str) -> Vec<u8> {
        until(&format!("{path} to arrive whole"), || {
            let plain = self.plain.messages().into_iter().rfind(|one| one.asked().ends_with(path));
            let h2 = self.h2.seen().into_iter().rfind(|one| one.path() == path);
            let plain = plain.filter(|one| one.ended).map(|one| one.body);
            plain.or(h2.filter(|one| one.ended).map(|one| one.body))
        })
    }
}

/// What every attack has in its belly.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n";

const ROUTES: &str = r#"
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: both, namespace: default}
spec:
  parentRefs: [{name: web}]
  rules:
  - matches: [{path: {type: PathPrefix, value: /h1}}]
    backendRefs: [{name: h1, port: 80}]
  - matches: [{path: {type: PathPrefix, value: /h2}}]
    backendRefs: [{name: h2, port: 80}]
"#;
