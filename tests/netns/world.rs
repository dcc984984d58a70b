//! The world that most tests begin with: a frontend, a stranger and an api on one node, and the
//! policy of every Cilium tutorial.

use tests::client::Client;
use tests::objects::{documents, gateway, pod, route, service};
use tests::{Backend, Host, Lab, Weir, until};

/// The pods, the backend in one of them, and the lab around them.
pub(crate) struct World {
    pub(crate) backend: Backend,
    pub(crate) frontend: Host,
    pub(crate) stranger: Host,
    pub(crate) api: Host,
    pub(crate) lab: Lab,
}

impl World {
    /// Builds it and writes `pods.yaml`; no policy yet.
    pub(crate) fn new() -> Self {
        let mut lab = Lab::new();
        let frontend = lab.pod("frontend");
        let stranger = lab.pod("stranger");
        let api = lab.pod("api");
        let backend = Backend::http(&api.ns, api.at(80), "v1");
        let world = Self { backend, frontend, stranger, api, lab };
        world.lab.write("pods.yaml", &world.pods());
        world
    }

    /// With the policy of [`GET_PUBLIC`].
    pub(crate) fn policed() -> Self {
        let world = Self::new();
        world.lab.write("policy.yaml", GET_PUBLIC);
        world
    }

    /// With Weir, and a request of the frontend under way, which the backend answers when it is released.
    pub(crate) fn with_a_request_held() -> (Self, Weir, Client) {
        let world = Self::new();
        world.lab.write("policy.yaml", &GET_PUBLIC.replace("/public", "/.*"));
        let weir = Weir::start(&world.lab);
        let mut client = Client::connect(&world.frontend, world.api.at(80)).unwrap();
        client.send("GET /hold HTTP/1.1\r\nHost: api\r\n\r\n").unwrap();
        until("the request to arrive", || (world.backend.count() == 1).then_some(()));
        (world, weir, client)
    }

    /// Writes Gateway `web` on port 8080 and a route for paths below a prefix to this port of the api.
    pub(crate) fn write_gateway(&self, prefix: &str, port: u16) {
        let api = service("api", &["10.96.0.1"], 80, &[(self.api.v4.into(), port)]);
        self.lab
            .write("web.yaml", &documents(&[gateway("web", 8080, &[]), api, route("api", prefix, "api")]));
    }

    /// The Pod objects.
    pub(crate) fn pods(&self) -> String {
        documents(&[
            pod(&self.frontend, &["role=frontend"]),
            pod(&self.stranger, &["role=stranger"]),
            pod(&self.api, &["app=api"]),
        ])
    }
}

/// `role=frontend` may reach a port (`NUMBER/PROTOCOL`) of `app=api`; if there are rules of HTTP, each the inside
/// of a flow mapping, with what they allow.
pub(crate) fn policy(port: &str, http: &[&str]) -> String {
    let (port, protocol) = port.split_once('/').unwrap_or((port, "TCP"));
    let mut text = format!(
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{name: api, namespace: default}}\n\
         spec:\n  endpointSelector: {{matchLabels: {{app: api}}}}\n  ingress:\n  \
         - fromEndpoints: [{{matchLabels: {{role: frontend}}}}]\n    toPorts:\n    \
         - ports: [{{port: \"{port}\", protocol: {protocol}}}]\n"
    );
    if !http.is_empty() {
        let rules: Vec<String> = http.iter().map(|rule| format!("{{{rule}}}")).collect();
        text.push_str(&format!("      rules: {{http: [{}]}}\n", rules.join(", ")));
    }
    text
}

/// `role=frontend` may `GET /public` of `app=api` on port 80.
pub(crate) const GET_PUBLIC: &str = r#"
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: api, namespace: default}
spec:
  endpointSelector: {matchLabels: {app: api}}
  ingress:
  - fromEndpoints: [{matchLabels: {role: frontend}}]
    toPorts:
    - ports: [{port: "80", protocol: TCP}]
      rules: {http: [{method: GET, path: /public}]}
"#;
