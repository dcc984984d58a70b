//! Peers that attack: every published class by its name, through the built binary over real sockets.
//! Each is ended with the right error and counted, while others are served and memory stays bounded.

mod endpoints;
mod frames;
mod headers;
mod http1;
mod others;
mod shared;
mod shares;
mod slow;
mod streams;
mod watch;

use tests::h2::{self, Endpoint};
use tests::lab::{NODE, NODE_V4};
use tests::objects::{documents, gateway, service};
use tests::observe::Metrics;
use tests::{Recorder, Weir};

use crate::fleet::h2c;
use crate::world::World;
use watch::Watch;

/// A Gateway on 8080: `/h2` goes to an endpoint that speaks HTTP/2, `/script` to a recorder, all else to
/// a plain server. The frontend attacks, the stranger is a client like any other.
struct Site {
    weir: Weir,
    world: World,
}

impl Site {
    fn start() -> Self {
        Self::start_with(&["--node", NODE])
    }

    /// With these flags of `weir run`.
    fn start_with(flags: &[&str]) -> Self {
        let world = World::new();
        let at = |port| [(world.api.v4.into(), port)];
        world.lab.write(
            "pods.yaml",
            &documents(&[
                world.pods(),
                gateway("web", 8080, &[]),
                service("api", &["10.96.0.1"], 80, &at(80)),
                h2c(&service("h2", &["10.96.0.2"], 80, &at(82))),
                service("script", &["10.96.0.3"], 80, &at(81)),
                ROUTES.into(),
            ]),
        );
        Self { weir: Weir::start_with(&world.lab, flags), world }
    }

    fn address() -> std::net::SocketAddr {
        (NODE_V4, 8080).into()
    }

    /// A connection of the one who attacks.
    fn offender(&self) -> h2::Client {
        h2::Client::connect_with(&self.world.frontend, Self::address(), &[]).unwrap()
    }

    /// The same for HTTP/1.1.
    fn plain(&self) -> tests::client::Client {
        tests::client::Client::connect(&self.world.frontend, Self::address()).unwrap()
    }

    fn metrics(&self) -> Metrics {
        Metrics::of(&self.world.lab.node).unwrap()
    }

    /// The endpoint of `/h2`, with the frames that answer.
    fn h2(&self, script: impl Fn(&h2::Seen) -> Option<Vec<u8>> + Send + Sync + 'static) -> Endpoint {
        Endpoint::with(&self.world.api.ns, self.world.api.at(82), &[], script)
    }

    /// The endpoint of `/script`.
    fn script(
        &self,
        script: impl Fn(&tests::recorder::Message) -> Option<Vec<u8>> + Send + Sync + 'static,
    ) -> Recorder {
        Recorder::with(&self.world.api.ns, self.world.api.at(81), script)
    }

    /// Attacks on a few connections, one after the other, until others were served meanwhile. Each is
    /// ended with ENHANCE_YOUR_CALM because of this limit, and counted once.
    fn ends(&self, limit: &str, mut attack: impl FnMut(h2::Client) -> h2::End) {
        let before = self.metrics().limit(limit);
        let watch = Watch::start(self);
        let mut rounds = 0;
        while rounds < 3 || !watch.has_served() {
            let end = attack(self.offender());
            assert_eq!(end.code, Some(h2::code::ENHANCE_YOUR_CALM), "{limit}, round {rounds}");
            rounds += 1;
        }
        watch.conclude();
        let counted = self.metrics().limit(limit) - before;
        assert!((counted - f64::from(rounds)).abs() < 0.5, "{limit}: {counted} of {rounds}");
    }
}

/// Frames, one for each number from 0 on.
fn many(count: u32, frame: impl Fn(u32) -> Vec<u8>) -> Vec<u8> {
    (0..count).flat_map(frame).collect()
}

const ROUTES: &str = r#"
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: api, namespace: default}
spec:
  parentRefs: [{name: web}]
  rules:
  - matches: [{path: {type: PathPrefix, value: /h2}}]
    backendRefs: [{name: h2, port: 80}]
  - matches: [{path: {type: PathPrefix, value: /script}}]
    backendRefs: [{name: script, port: 80}]
  - matches: [{path: {type: PathPrefix, value: /timed}}]
    timeouts: {request: 5s}
    filters:
    - {type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}
    backendRefs: [{name: api, port: 80}]
  - backendRefs: [{name: api, port: 80}]
"#;
