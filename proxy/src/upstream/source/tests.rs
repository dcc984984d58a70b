//! Whose address an endpoint sees.

use super::{Ends, source};

const POD: &str = "10.0.0.1";
const OTHER_POD: &str = "10.0.0.2";
const REMOTE_POD: &str = "10.0.9.1";
const OUTSIDE: &str = "203.0.113.9";
const NODE: &str = "192.168.0.1";
const POD_V6: &str = "fd00::1";

fn ends(client: &str, endpoint: &str) -> Ends {
    let is_local = |ip: &str| [POD, OTHER_POD, POD_V6].contains(&ip);
    Ends {
        client: client.parse().unwrap(),
        endpoint: endpoint.parse().unwrap(),
        client_is_local: is_local(client),
        endpoint_is_local: is_local(endpoint),
        client_is_node: client == NODE,
        endpoint_is_node: endpoint == NODE,
    }
}

#[test]
fn the_client_is_kept_where_one_end_is_a_pod_of_this_node() {
    let cases = [
        (POD, OTHER_POD, true),
        (POD, REMOTE_POD, true),
        (POD, OUTSIDE, true),
        (REMOTE_POD, POD, true),
        (OUTSIDE, POD, true),
        // The answer would not come back through this node.
        (OUTSIDE, REMOTE_POD, false),
        (REMOTE_POD, REMOTE_POD, false),
        // The node itself is an end.
        (NODE, POD, false),
        (NODE, REMOTE_POD, false),
        (POD, NODE, false),
        // The endpoint is the client itself.
        (POD, POD, false),
        // The families differ.
        (POD_V6, POD, false),
    ];
    for (client, endpoint, kept) in cases {
        let expected = kept.then(|| client.parse().unwrap());
        assert_eq!(source(ends(client, endpoint)), expected, "{client} to {endpoint}");
    }
}
