//! Counts that follow from the file descriptors there are.

use super::*;

#[test]
fn connections_fit_into_the_descriptors() {
    for descriptors in [0, 1, 64, 256, 1024, 4096, 65_536, 1 << 20, u64::MAX] {
        for workers in [1, 2, 4] {
            let limits = Limits::default().within(descriptors, workers);
            let upstream = limits.idle_upstream + limits.http2_connections + limits.mirrors;
            let each = 2 * Limits::share(limits.connections, workers) + upstream;
            let all = (workers * each + 2 * (limits.datagram_flows + limits.pipes)) as u64;
            let case = format!("{descriptors} descriptors, {workers} workers: {limits:?}");
            // What is smaller cannot serve anyway.
            if descriptors >= 64 {
                assert!(all <= descriptors - descriptors.min(256) / 4, "{case}");
            }
            assert!(limits.connections_per_pod <= limits.connections.div_ceil(2), "{case}");
            assert!(limits.connections_per_client <= limits.connections.div_ceil(4), "{case}");
            let each = [limits.connections, limits.connections_per_pod, limits.connections_per_client];
            assert!(each.iter().all(|count| *count > 0), "{case}");
        }
    }
    let limits = Limits::default().within(1024, 2);
    let counts = (limits.connections, limits.connections_per_pod, limits.connections_per_client);
    assert_eq!(counts, (192, 96, 48));
    // Who is behind a load balancer may give its address all there is.
    let asked = Limits { connections_per_client: 100_000, ..Limits::default() };
    assert_eq!(asked.within(1024, 2).connections_per_client, 192);
    assert_eq!(Limits::default().within(1 << 20, 4), Limits::default());
}
