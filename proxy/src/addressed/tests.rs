//! What answers where, and who is asking.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use model::Snapshot;
use model::address::{ClientAddr, OrigDstAddr};
use model::identity::IdentityId;
use model::service::{BackendId, Frontend, GatewayAddr, GatewayPort};
use model::shared_map::SharedMap;
use model::workload::{EndpointId, Workload};

use super::{Addressing, Place};
use crate::accepted::By;
use crate::config::ListenerKind;

const NODE: &str = "192.168.0.1";

fn snapshot() -> Snapshot {
    let ip = |text: &str| -> IpAddr { text.parse().unwrap() };
    let pod = |address: &str, local| {
        let workload = Workload {
            namespace: "n".into(),
            name: "p".into(),
            node: "".into(),
            addresses: vec![ip(address)],
            identity: IdentityId(300),
            named_ports: Vec::new(),
            local,
        };
        (ip(address), Arc::new(workload))
    };
    let mut addresses = model::address::AddressTable::default();
    for address in ["10.0.0.1", "10.0.9.1"] {
        addresses.insert_exact(ip(address), IdentityId(300));
    }
    let gateway = |ip| (GatewayAddr::tcp(ip, 80), Arc::new(GatewayPort::default()));
    let frontend = Frontend { backend: BackendId(0), routes: None };
    Snapshot {
        addresses: Arc::new(addresses),
        workloads: Arc::new(HashMap::from([pod("10.0.0.1", Some(EndpointId(1))), pod("10.0.9.1", None)])),
        frontends: Arc::new(SharedMap::from([("10.96.0.1:80".parse().unwrap(), Arc::new(frontend))])),
        gateways: Arc::new(HashMap::from([gateway(None), gateway(Some(ip("10.97.0.1")))])),
        node_addresses: [ip(NODE)].into(),
        ..Snapshot::default()
    }
}

fn addressed(client: &str, original: &str, kind: ListenerKind) -> (String, u32, Option<EndpointId>) {
    let view = Rc::new(Arc::new(snapshot()));
    let client = ClientAddr(SocketAddr::new(client.parse().unwrap(), 40_000));
    let by = By { kind, address: "0.0.0.0:15001".parse().unwrap() };
    let ends = Addressing::of(view, client, OrigDstAddr(original.parse().unwrap()), by);
    let place = match ends.place {
        Place::Gateway(_) => "gateway".to_owned(),
        Place::Service(_, _) => "service".to_owned(),
        Place::Direct(address) => address.to_string(),
        Place::Nothing => "nothing".to_owned(),
    };
    (place, ends.source.identity.0, ends.source.local)
}

#[test]
fn a_connection_is_addressed_by_its_two_addresses() {
    use ListenerKind::{Gateway, Transparent};
    const WORLD: u32 = IdentityId::WORLD_IPV4.0;
    const INGRESS: u32 = IdentityId::INGRESS.0;
    let local = Some(EndpointId(1));
    let cases = [
        // A pod keeps its identity; what else comes by a Gateway is `ingress`.
        ("10.0.0.1", "192.168.0.1:80", Gateway, "gateway", 300, local),
        ("10.0.9.1", "192.168.0.1:80", Gateway, "gateway", 300, None),
        ("203.0.113.9", "192.168.0.1:80", Gateway, "gateway", INGRESS, None),
        ("203.0.113.9", "10.97.0.1:80", Transparent, "gateway", INGRESS, None),
        // A listener on every address is one on the node's own.
        ("10.0.0.1", "10.0.9.1:80", Transparent, "10.0.9.1:80", 300, local),
        ("10.0.0.1", "10.96.0.1:80", Transparent, "service", 300, local),
        ("10.0.0.1", "10.96.0.1:81", Transparent, "10.96.0.1:81", 300, local),
        ("203.0.113.9", "10.0.0.1:80", Transparent, "10.0.0.1:80", WORLD, None),
        // A Gateway's socket is never a way to anywhere else.
        ("10.0.0.1", "192.168.0.1:8080", Gateway, "nothing", 300, local),
        // Nor is the redirected listener a way to itself.
        ("10.0.0.1", "192.168.0.1:15001", Transparent, "nothing", 300, local),
        ("10.0.0.1", "127.0.0.1:15001", Transparent, "nothing", 300, local),
        ("10.0.0.1", "10.0.9.1:15001", Transparent, "10.0.9.1:15001", 300, local),
    ];
    for (client, original, kind, place, identity, local) in cases {
        let expected = (place.to_owned(), identity, local);
        assert_eq!(addressed(client, original, kind), expected, "{client} to {original} by {kind:?}");
    }
}
