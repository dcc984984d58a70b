//! The world that most tests begin with: a frontend, a stranger and an api on one node, and the
//! policy of every Cilium tutorial.

use tests::objects::{documents, pod};
use tests::{Backend, Host, Lab};

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

    /// The Pod objects.
    pub(crate) fn pods(&self) -> String {
        documents(&[
            pod(&self.frontend, &["role=frontend"]),
            pod(&self.stranger, &["role=stranger"]),
            pod(&self.api, &["app=api"]),
        ])
    }
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
