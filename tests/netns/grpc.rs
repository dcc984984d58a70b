//! gRPC with clients and servers that others wrote: grpc-js on both sides, and grpcurl, which is grpc-go.

mod calls;
mod deadlines;
mod failures;
mod policy;
mod routes;
mod streams;

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tests::certificate::Certificate;
use tests::driver::objects;
use tests::lab::NODE_V4;
use tests::objects::{documents, gateway, pod, service};
use tests::{Driver, Host, Lab, Peer, Weir, until};

use crate::fleet::h2c;
use crate::tls::https;
use crate::world::World;

/// The port of the servers.
const PORT: u16 = 50051;
/// How long a program may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// The name that the certificate is for.
const NAME: &str = "grpc.test";

/// The world with Gateway `web`, on 8080 in the clear and on 8443 for [`NAME`], Service `one` whose
/// server is in the api pod, and GRPCRoutes.
struct Place {
    world: World,
    server: Peer,
    certificate: Certificate,
}

impl Place {
    /// With these routes.
    fn new(routes: &str) -> Self {
        Self::with(World::new(), routes, Vec::new())
    }

    /// In this world, with these objects beside.
    fn with(world: World, routes: &str, more: Vec<String>) -> Self {
        let server = serve(&world.api, PORT, "one");
        let certificate = Certificate::new(world.lab.folder(), NAME);
        let secure = https("tls", &format!("hostname: {NAME}, "));
        let objects = [
            world.pods(),
            gateway("web", 8080, &[]) + &secure,
            certificate.secret("tls"),
            backend("one", "10.96.0.1", &world.api),
        ];
        world.lab.write("pods.yaml", &documents(&[&objects[..], &more].concat()));
        world.lab.write("routes.yaml", routes);
        Self { world, server, certificate }
    }

    fn lab(&self) -> &Lab {
        &self.world.lab
    }

    /// A client in the frontend pod, of the Gateway in the clear.
    fn client(&self) -> Driver {
        client(&self.world.frontend, (NODE_V4, 8080).into())
    }

    /// The same with TLS.
    fn secure_client(&self) -> Driver {
        let certificate = self.certificate.certificate.to_string_lossy();
        let target = format!("{NODE_V4}:8443");
        Driver::node(&self.world.frontend.ns, "grpc_client.mjs", &[&target, NAME, &certificate])
    }

    /// What its server was called with, once it has said so of as many calls, or of more.
    fn seen(&self, count: usize) -> Vec<Value> {
        until(&format!("{count} calls to be seen"), || {
            let lines = objects(&self.server).into_iter();
            let seen: Vec<Value> = lines.filter(|line| line["path"].is_string()).collect();
            (seen.len() >= count).then_some(seen)
        })
    }
}

/// A server on a pod.
fn serve(host: &Host, port: u16, name: &str) -> Peer {
    Peer::node(&host.ns, "grpc_server.mjs", &[&host.v4.to_string(), &port.to_string(), name])
}

/// A client on a pod.
fn client(host: &Host, target: SocketAddr) -> Driver {
    Driver::node(&host.ns, "grpc_client.mjs", &[&target.to_string()])
}

/// A Service of HTTP/2 in the clear on 80 with the server of one pod.
fn backend(name: &str, cluster_ip: &str, host: &Host) -> String {
    h2c(&service(name, &[cluster_ip], 80, &[(host.v4.into(), PORT)]))
}

/// A GRPCRoute of these rules to Gateway `web`.
fn route(name: &str, rules: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: GRPCRoute\n\
         metadata: {{name: {name}, namespace: default}}\nspec:\n  parentRefs: [{{name: web}}]\n  \
         rules:\n{rules}"
    )
}

/// Everything to Service `one`.
fn to_one() -> String {
    route("one", "  - backendRefs: [{name: one, port: 80}]\n")
}

/// Makes a call that must end with this status; what it came to.
fn call(client: &Driver, command: Value, status: &str) -> Value {
    let said = client.ask(command.clone());
    assert_eq!(said["code"], status, "{command}: {said}");
    said
}
