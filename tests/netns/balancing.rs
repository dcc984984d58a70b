//! Which endpoint a request goes to: by algorithm and load, by weight, by nearness. Each request
//! is placed anew, also those of one HTTP/2 connection.

use std::ops::RangeInclusive;
use std::time::Duration;

use tests::client::Client;
use tests::lab::{NODE, NODE_V4, OTHER_NODE};
use tests::{Act, Backend, Faulty, Host, peer, until};

use crate::fleet::{Fleet, annotated, endpoint, fleet, route};
use crate::world::World;

const PORTS: [u16; 3] = [81, 82, 83];
const RULE: &str = "backendRefs: [{name: s, port: 80}]";
/// So many requests come to both of two endpoints, but for one time in eight million.
const ASKED: usize = 24;

fn counts<const N: usize>(servers: &[Faulty; N]) -> [usize; N] {
    servers.each_ref().map(Faulty::count)
}

/// So many requests one after the other on one HTTP/2 connection; all must succeed.
fn on_one_connection(fleet: &Fleet, path: &str, count: usize) {
    let (count, url) = (count.to_string(), format!("http://{NODE_V4}:8080{path}"));
    let arguments = ["-n", &count, "-c", "1", "-m", "1", &url];
    let run = peer::run(&fleet.world.frontend.ns, "h2load", &arguments, b"", Duration::from_secs(60));
    assert!(run.text.contains(&format!("status codes: {count} 2xx")), "{}", run.text);
}

#[test]
fn round_robin_takes_turns_by_request() {
    needs_lab!("h2load");
    let world = World::new();
    let servers = PORTS.map(|port| endpoint(&world, port, Act::Status(200)));
    let objects = [fleet("s", &world.api, &PORTS, &[("load-balancing", "round-robin")]), route("r", &[RULE])];
    let fleet = Fleet::start(world, &objects);
    // On one connection of HTTP/1.1, and on one of HTTP/2.
    assert_eq!(fleet.statuses("/", 60), [200; 60]);
    assert_eq!(counts(&servers), [20; 3]);
    on_one_connection(&fleet, "/", 90);
    assert_eq!(counts(&servers), [50; 3]);
}

/// The other two algorithms are even in the long run: 600 requests, six standard deviations.
#[test]
fn least_request_and_random_spread_the_requests_of_one_connection() {
    needs_lab!("h2load");
    let range: RangeInclusive<usize> = 130..=270;
    for algorithm in ["least-request", "random"] {
        let world = World::new();
        let servers = PORTS.map(|port| endpoint(&world, port, Act::Status(200)));
        let objects = [fleet("s", &world.api, &PORTS, &[("load-balancing", algorithm)]), route("r", &[RULE])];
        let fleet = Fleet::start(world, &objects);
        on_one_connection(&fleet, "/", 600);
        let counts = counts(&servers);
        assert_eq!(counts.iter().sum::<usize>(), 600);
        assert!(counts.iter().all(|count| range.contains(count)), "{algorithm}: {counts:?}");
    }
}

/// An endpoint with a request under way is not chosen while one of two has none: of two random
/// endpoints the less loaded is taken.
#[test]
fn least_request_spares_an_endpoint_that_is_slow() {
    needs_lab!("h2load");
    let world = World::new();
    let servers = PORTS.map(|port| endpoint(&world, port, Act::Status(200)));
    servers[0].does(Act::Hold);
    let objects = [fleet("s", &world.api, &PORTS, &[]), route("r", &[RULE])];
    let fleet = Fleet::start(world, &objects);
    let mut asked = 0;
    let mut held = until("one request to be held", || {
        let mut client = fleet.ask("/");
        asked += 1;
        until("it to arrive", || (counts(&servers).iter().sum::<usize>() == asked).then_some(()));
        if servers[0].count() == 1 {
            return Some(client);
        }
        assert_eq!(client.response().unwrap().status, 200);
        None
    });
    let before = counts(&servers);
    assert_eq!(fleet.statuses("/", 50), [200; 50]);
    on_one_connection(&fleet, "/", 50);
    let after = counts(&servers);
    assert_eq!(after[0], before[0], "nothing more for the one that is slow");
    assert_eq!(after[1] + after[2], before[1] + before[2] + 100);
    // When it is well it gets its share again.
    servers[0].release();
    assert_eq!(held.response().unwrap().status, 200);
    on_one_connection(&fleet, "/", 100);
    assert!(servers[0].count() > after[0] + 5, "{:?}", counts(&servers));
}

#[test]
fn weights_hold_for_the_requests_of_one_connection() {
    needs_lab!("h2load");
    let world = World::new();
    let servers = PORTS.map(|port| endpoint(&world, port, Act::Status(200)));
    let names = ["a", "b", "c"];
    let mut objects: Vec<String> =
        names.iter().zip(PORTS).map(|(name, port)| fleet(name, &world.api, &[port], &[])).collect();
    objects.push(route(
        "r",
        &["backendRefs: [{name: a, port: 80, weight: 70}, {name: b, port: 80, weight: 30}, \
           {name: c, port: 80, weight: 0}]"],
    ));
    let fleet = Fleet::start(world, &objects);
    on_one_connection(&fleet, "/", 1000);
    let [a, b, c] = counts(&servers);
    assert_eq!((a + b, c), (1000, 0));
    // Six standard deviations around 300.
    assert!((213..=387).contains(&b), "{b} of 1000");
}

/// `trafficDistribution` and the annotations of a Service.
type Said<'s> = (&'s str, &'s [(&'s str, &'s str)]);

/// Three endpoints: on this node, on another of the same zone, and in another zone.
struct Places {
    fleet: Fleet,
    near: Faulty,
    zone: Backend,
    far: Backend,
    hosts: [Host; 2],
}

const ZONES: &str = r"
apiVersion: v1
kind: Node
metadata: {name: node-a, labels: {topology.kubernetes.io/zone: here}}
";

/// The Service; which of its three endpoints are ready.
fn placed(
    world: &World,
    hosts: &[Host; 2],
    (distribution, bounds): Said<'_>,
    ready: [bool; 3],
) -> Vec<String> {
    let endpoint = |host: &Host, node: &str, zone: &str, ready: bool| {
        let v4 = host.v4;
        format!("- {{addresses: [{v4}], nodeName: {node}, zone: {zone}, conditions: {{ready: {ready}}}}}\n")
    };
    let service = format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: s, namespace: default}}\nspec:\n  \
         clusterIP: None\n  trafficDistribution: {distribution}\n  \
         ports: [{{name: web, port: 80}}]\n"
    );
    let slice = format!(
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: s-1, namespace: default, \
         labels: {{kubernetes.io/service-name: s}}}}\naddressType: IPv4\nports: [{{name: web, port: 81}}]\n\
         endpoints:\n{}{}{}",
        endpoint(&world.api, NODE, "here", ready[0]),
        endpoint(&hosts[0], OTHER_NODE, "here", ready[1]),
        endpoint(&hosts[1], "node-c", "there", ready[2]),
    );
    vec![ZONES.into(), annotated(&service, bounds), slice, route("r", &[RULE])]
}

impl Places {
    fn new(said: Said<'_>) -> Self {
        let mut world = World::new();
        let hosts = ["zone", "far"].map(|name| world.lab.remote_pod(name));
        let near = endpoint(&world, 81, Act::Status(200));
        let zone = Backend::http(&hosts[0].ns, hosts[0].at(81), "zone");
        let far = Backend::http(&hosts[1].ns, hosts[1].at(81), "far");
        let objects = placed(&world, &hosts, said, [true; 3]);
        let kept = ["--limit", "idle_upstream_timeout=300s"];
        Self { fleet: Fleet::start_with(world, &objects, &kept), near, zone, far, hosts }
    }

    fn ready(&self, distribution: &str, ready: [bool; 3]) {
        self.fleet.change(&placed(&self.fleet.world, &self.hosts, (distribution, &[]), ready));
    }

    /// Who answers [`ASKED`] requests, sorted and each named once.
    fn answers(&self) -> Vec<String> {
        let mut names: Vec<String> = (0..ASKED).map(|_| self.fleet.get("/").text()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

#[test]
fn the_same_node_comes_first_then_the_zone_then_the_rest() {
    needs_lab!();
    let places = Places::new(("PreferSameNode", &[]));
    assert_eq!(places.answers(), ["81"]);
    places.ready("PreferSameNode", [false, true, true]);
    assert_eq!(places.answers(), ["zone"]);
    places.ready("PreferSameNode", [false, false, true]);
    assert_eq!(places.answers(), ["far"]);
    places.ready("PreferSameNode", [true, true, true]);
    assert_eq!(places.answers(), ["81"]);
    places.ready("PreferSameZone", [true, true, true]);
    assert_eq!(places.answers(), ["81", "zone"]);
    places.ready("PreferClose", [false, false, true]);
    assert_eq!(places.answers(), ["far"]);
    assert_eq!(places.near.connections(), 1, "the idle one was good when it came back");
}

/// A near endpoint that is full makes room for farther ones.
#[test]
fn load_spills_over_to_farther_endpoints() {
    needs_lab!();
    let places = Places::new(("PreferSameNode", &[("max-endpoint-requests", "1")]));
    places.near.does(Act::Hold);
    // One request each is all they take.
    let first = places.fleet.ask("/");
    until("the near one to be busy", || (places.near.under_way() == 1).then_some(()));
    assert_eq!(places.answers(), ["zone"]);
    let second = places.fleet.ask("/hold");
    until("the one of the zone to be busy", || {
        places.zone.seen().iter().any(|seen| seen.target == "/hold").then_some(())
    });
    assert_eq!(places.answers(), ["far"]);
    places.near.release();
    places.zone.release();
    for mut client in [first, second] {
        assert_eq!(client.response().unwrap().status, 200);
    }
    assert_eq!(places.answers(), ["81"]);
    assert_eq!(places.far.count(), ASKED);
}

/// Without any bound said: 32 requests are as many as a near endpoint is sent while a farther one has
/// less than half of that.
#[test]
fn an_overloaded_endpoint_shares_with_farther_ones() {
    needs_lab!();
    let places = Places::new(("PreferSameNode", &[]));
    places.near.does(Act::Hold);
    let clients: Vec<Client> = (0..40).map(|_| places.fleet.ask("/")).collect();
    until("all to be somewhere", || {
        let farther = places.zone.count() + places.far.count();
        (places.near.under_way() + farther == 40).then_some(())
    });
    assert_eq!((places.near.under_way(), places.zone.count()), (32, 8));
    places.near.release();
    for mut client in clients {
        assert_eq!(client.response().unwrap().status, 200);
    }
}

/// One that fails time after time is left for the next nearest.
#[test]
fn an_ejected_endpoint_is_replaced_by_the_next_nearest() {
    needs_lab!();
    let outlier = [("outlier-consecutive-errors", "3"), ("outlier-base-ejection-time", "1h")];
    let places = Places::new(("PreferSameNode", &outlier));
    places.near.does(Act::Status(500));
    assert_eq!(places.fleet.statuses("/", 3), [500; 3]);
    assert_eq!(places.answers(), ["zone"]);
    assert_eq!(places.near.count(), 3);
}
