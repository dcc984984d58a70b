//! The place of a soak: pods, a Gateway with every kind of listener, and the objects that change.

use std::fs;
use std::net::{IpAddr, SocketAddr};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::server::{HTTP, TCP, UDP};
use crate::certificate::Certificate;
use crate::lab::{Host, Lab, NODE_V4};
use crate::objects::{documents, gateway, pod, service};

/// See the module.
#[derive(Debug)]
pub(super) struct World {
    pub(super) frontend: Host,
    pub(super) outside: Host,
    /// The pods with servers.
    pub(super) servers: Vec<Host>,
    certificates: Vec<Certificate>,
    pub(super) lab: Lab,
}

/// A Service whose endpoints come and go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flapping {
    pub(super) name: &'static str,
    cluster_ip: &'static str,
    port: u16,
    servers: [&'static str; 2],
}

/// Every one of them.
pub(super) const FLAPPING: [Flapping; 4] = [
    Flapping { name: "a", cluster_ip: "10.96.0.1", port: HTTP, servers: ["a1", "a2"] },
    Flapping { name: "b", cluster_ip: "10.96.0.2", port: HTTP, servers: ["b1", "b2"] },
    Flapping { name: "tcp", cluster_ip: "10.96.0.3", port: TCP, servers: ["a1", "a2"] },
    Flapping { name: "udp", cluster_ip: "10.96.0.4", port: UDP, servers: ["b1", "c1"] },
];

impl Flapping {
    /// The servers of these places.
    pub(super) fn listed(&self, listed: [bool; 2]) -> Vec<&'static str> {
        self.servers.into_iter().zip(listed).filter(|(_, is)| *is).map(|(name, _)| name).collect()
    }

    /// The place of a server.
    pub(super) fn place(&self, server: &str) -> Option<usize> {
        self.servers.iter().position(|name| *name == server)
    }
}

impl World {
    /// Builds it, with every server listed and the first certificate in force.
    pub(super) fn new() -> Self {
        let mut lab = Lab::new();
        let frontend = lab.pod("frontend");
        let mut servers: Vec<Host> = ["a1", "a2", "b1", "c1"].map(|name| lab.pod(name)).into();
        // One is on another node.
        servers.push(lab.remote_pod("b2"));
        let outside = lab.outside("outside");
        let certificates = (0..3)
            .map(|at| {
                let folder = lab.folder().join(format!("certificate-{at}"));
                fs::create_dir_all(&folder).expect("the lab's folder is writable");
                Certificate::new(&folder, super::connection::NAME)
            })
            .collect();
        let world = Self { frontend, outside, servers, certificates, lab };
        world.write_pods();
        for flapping in FLAPPING {
            world.list(&flapping, [true, true]);
        }
        world.weigh([1, 1]);
        world.allow(true);
        world.show(0);
        world
    }

    fn write_pods(&self) {
        let listeners = "  - {name: secured, protocol: HTTPS, port: 8443, tls: {certificateRefs: [{name: soak}]}}\n  \
             - {name: bytes, protocol: TCP, port: 9000}\n  - {name: datagrams, protocol: UDP, port: 9053}\n";
        let mut objects = vec![gateway("web", 8080, &[]) + listeners, FIXED.to_owned()];
        let hosts = self.servers.iter().chain([&self.frontend]);
        objects.extend(hosts.map(|host| pod(host, &[&format!("app={}", host.name)])));
        self.lab.write("fixed.yaml", &documents(&objects));
    }

    /// The host of a server.
    pub(super) fn server(&self, name: &str) -> &Host {
        self.servers.iter().find(|host| host.name == name).expect("a server of this name")
    }

    /// Writes a Service with the endpoints of these places.
    pub(super) fn list(&self, flapping: &Flapping, listed: [bool; 2]) {
        let endpoint = |name: &&str| (IpAddr::V4(self.server(name).v4), flapping.port);
        let endpoints: Vec<_> = flapping.listed(listed).iter().map(endpoint).collect();
        let mut text = service(flapping.name, &[flapping.cluster_ip], flapping.port, &endpoints);
        match flapping.name {
            // Without it a connection to its address would stay with one endpoint.
            "a" => text = text.replace("protocol: TCP}", "protocol: TCP, appProtocol: http}"),
            "b" => text = text.replace("protocol: TCP}", "protocol: TCP, appProtocol: kubernetes.io/h2c}"),
            "udp" => text = text.replace("protocol: TCP", "protocol: UDP"),
            _ => {}
        }
        self.lab.write(&format!("service-{}.yaml", flapping.name), &text);
    }

    /// Writes the route to both Services with these weights.
    pub(super) fn weigh(&self, weights: [u32; 2]) {
        let [a, b] = weights;
        let backends = format!("{{name: a, port: 80, weight: {a}}}, {{name: b, port: 80, weight: {b}}}");
        self.lab.write("split.yaml", &route("split", &backends));
    }

    /// Writes the policy of `c1`: whether the frontend may ask for `/toggled`.
    pub(super) fn allow(&self, allowed: bool) {
        let path = if allowed { "/toggled" } else { "/other" };
        self.lab.write("policy.yaml", &POLICY.replace("PATH", path));
    }

    /// Writes a policy that ends every flow of datagrams.
    pub(super) fn end_datagrams(&self) {
        self.lab.write("end.yaml", NO_DATAGRAMS);
    }

    /// Writes a route that nothing else depends on, or removes it.
    pub(super) fn extra(&self, is_there: bool) {
        if is_there {
            self.lab.write("extra.yaml", &route("extra", "{name: a, port: 80}"));
        } else {
            fs::remove_file(self.lab.config().join("extra.yaml")).expect("it was written");
        }
    }

    /// Writes the Secret of the HTTPS listener with a certificate.
    pub(super) fn show(&self, certificate: usize) {
        self.lab.write("secret.yaml", &self.certificates[certificate].secret("soak"));
    }

    /// The certificates in their order.
    pub(super) fn certificates(&self) -> Vec<CertificateDer<'static>> {
        let read = |pair: &Certificate| CertificateDer::from_pem_file(&pair.certificate);
        self.certificates.iter().map(|pair| read(pair).expect("it was just made")).collect()
    }
}

/// The Gateway's address with a port.
pub(super) fn at(port: u16) -> SocketAddr {
    (NODE_V4, port).into()
}

/// An HTTPRoute of the Gateway for a path of its own name.
fn route(name: &str, backends: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n\
         metadata: {{name: {name}, namespace: default}}\nspec:\n  parentRefs: [{{name: web}}]\n  rules:\n  \
         - matches: [{{path: {{type: PathPrefix, value: /{name}}}}}]\n    backendRefs: [{backends}]\n"
    )
}

/// The routes that stay as they are.
const FIXED: &str = r#"
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: a, namespace: default}
spec:
  parentRefs: [{name: web}]
  rules:
  - matches: [{path: {type: PathPrefix, value: /a}}]
    backendRefs: [{name: a, port: 80}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: b, namespace: default}
spec:
  parentRefs: [{name: web}]
  rules:
  - matches: [{path: {type: PathPrefix, value: /b}}]
    backendRefs: [{name: b, port: 80}]
---
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: TCPRoute
metadata: {name: bytes, namespace: default}
spec:
  parentRefs: [{name: web, sectionName: bytes}]
  rules:
  - backendRefs: [{name: tcp, port: 90}]
---
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: UDPRoute
metadata: {name: datagrams, namespace: default}
spec:
  parentRefs: [{name: web, sectionName: datagrams}]
  rules:
  - backendRefs: [{name: udp, port: 53}]
"#;

const POLICY: &str = r#"
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: c1, namespace: default}
spec:
  endpointSelector: {matchLabels: {app: c1}}
  ingress:
  - fromEndpoints: [{matchLabels: {app: frontend}}]
    toPorts:
    - ports: [{port: "80", protocol: TCP}]
      rules: {http: [{method: GET, path: PATH}]}
  - fromEntities: [all]
    toPorts: [{ports: [{port: "53", protocol: UDP}]}]
"#;

const NO_DATAGRAMS: &str = r#"
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: end, namespace: default}
spec:
  endpointSelector: {matchExpressions: [{key: app, operator: In, values: [b1, c1]}]}
  ingressDeny:
  - fromEntities: [all]
    toPorts: [{ports: [{port: "53", protocol: UDP}]}]
"#;
