//! A Gateway before endpoints that misbehave, which are ports of one pod, and the objects for it.

use std::net::IpAddr;

use tests::client::{Client, Response};
use tests::lab::{NODE, NODE_V4};
use tests::objects::{documents, gateway, service};
use tests::{Act, Faulty, Host, Weir, metrics};

use crate::world::World;

/// The world, the Gateway on port 8080 and what is asked of it.
pub(crate) struct Fleet {
    pub(crate) weir: Weir,
    pub(crate) world: World,
}

impl Fleet {
    /// Starts Weir on these objects beside the Pods and the Gateway. One worker: counts and shares
    /// of limits are then exact.
    pub(crate) fn start(world: World, objects: &[String]) -> Self {
        Self::start_with(world, objects, &[])
    }

    /// The same with more flags of `weir run`.
    pub(crate) fn start_with(world: World, objects: &[String], flags: &[&str]) -> Self {
        write(&world, objects);
        let weir = Weir::start_with(&world.lab, &[&["--node", NODE, "--workers", "1"], flags].concat());
        Self { weir, world }
    }

    /// Writes other objects in the place of those there were, and waits until they are in force.
    pub(crate) fn change(&self, objects: &[String]) {
        let before = self.weir.revision();
        write(&self.world, objects);
        self.weir.wait_revision(before);
    }

    /// A connection of the frontend to the Gateway.
    pub(crate) fn client(&self) -> Client {
        Client::connect(&self.world.frontend, (NODE_V4, 8080).into()).unwrap()
    }

    /// One request on a connection of its own.
    pub(crate) fn get(&self, path: &str) -> Response {
        self.client().get(path).unwrap()
    }

    /// The statuses of so many requests on one connection.
    pub(crate) fn statuses(&self, path: &str, count: usize) -> Vec<u16> {
        let mut client = self.client();
        (0..count).map(|_| client.get(path).unwrap().status).collect()
    }

    /// Sends a request and leaves it there.
    pub(crate) fn ask(&self, path: &str) -> Client {
        let mut client = self.client();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: fleet\r\n\r\n")).unwrap();
        client
    }

    /// What Weir has counted of a series.
    pub(crate) fn metric(&self, series: &str) -> u64 {
        metrics::value(&self.world.lab, series)
    }

    /// Waits for a flow record of a failed request that gives this reason.
    pub(crate) fn wait_failure(&self, reason: &str) {
        self.weir.wait_flow(reason, |flow| flow["verdict"] == "FAILED" && flow["reason"] == reason);
    }
}

fn write(world: &World, objects: &[String]) {
    let mut all = vec![world.pods(), gateway("web", 8080, &[])];
    all.extend_from_slice(objects);
    world.lab.write("pods.yaml", &documents(&all));
}

/// A server on a port of the api pod that does the same with every request; its name is the port.
pub(crate) fn endpoint(world: &World, port: u16, act: Act) -> Faulty {
    Faulty::steady(&world.api.ns, world.api.at(port), &port.to_string(), act)
}

/// The same with the script of [`Faulty::scripted`].
pub(crate) fn scripted(
    world: &World,
    port: u16,
    script: impl Fn(usize) -> Act + Send + Sync + 'static,
) -> Faulty {
    Faulty::scripted(&world.api.ns, world.api.at(port), &port.to_string(), move |_, nth| script(nth))
}

/// A headless Service over ports of the api pod, with `weir.dev/` annotations.
pub(crate) fn fleet(name: &str, api: &Host, ports: &[u16], annotations: &[(&str, &str)]) -> String {
    let endpoints: Vec<(IpAddr, u16)> = ports.iter().map(|port| (api.v4.into(), *port)).collect();
    annotated(&service(name, &[], 80, &endpoints), annotations)
}

/// The Service that the text begins with, with `kubernetes.io/h2c` as what it speaks.
pub(crate) fn h2c(service: &str) -> String {
    service.replacen("protocol: TCP}", "protocol: TCP, appProtocol: kubernetes.io/h2c}", 1)
}

/// Puts annotations on the Service that the text begins with.
pub(crate) fn annotated(service: &str, annotations: &[(&str, &str)]) -> String {
    let pairs: Vec<String> =
        annotations.iter().map(|(name, value)| format!("weir.dev/{name}: {value:?}")).collect();
    let metadata = format!("namespace: default, annotations: {{{}}}}}", pairs.join(", "));
    service.replacen("namespace: default}", &metadata, 1)
}

/// An HTTPRoute of the Gateway whose rules are given as the inside of flow mappings.
pub(crate) fn route(name: &str, rules: &[&str]) -> String {
    let mut text = format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n\
         metadata: {{name: {name}, namespace: default}}\nspec:\n  parentRefs: [{{name: web}}]\n  rules:\n"
    );
    for rule in rules {
        text.push_str(&format!("  - {{{rule}}}\n"));
    }
    text
}
