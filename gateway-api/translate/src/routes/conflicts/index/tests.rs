use super::*;

fn key(kind: Kind, name: &str) -> ObjectKey {
    ObjectKey::new(kind, "ns", name)
}

/// The key of `h1` or `g1`, and its hostnames.
fn read(line: &str) -> (ObjectKey, Vec<Arc<str>>) {
    let (name, hostnames) = line.split_once(' ').unwrap_or((line, ""));
    let kind = if name.starts_with('g') { Kind::GrpcRoute } else { Kind::HttpRoute };
    (key(kind, name), hostnames.split_terminator(',').map(Arc::from).collect())
}

fn index(lines: &[&str]) -> Index {
    let mut index = Index::default();
    for (route, hostnames) in lines.iter().map(|line| read(line)) {
        index.insert(&route, Claimed { created: 0, hostnames });
    }
    index
}

#[test]
fn a_change_touches_those_that_share_a_host_and_no_others() {
    let index = index(&[
        "h1 a.test",
        "h2 b.test,c.test",
        "h3 *.deep.test",
        "h4 x.deep.test",
        "h5 far.example",
        "h6 atest",
        "g1 a.test",
        "g2 c.test,*.more.deep.test",
        "g3 other.example",
    ]);
    for (change, wanted) in [
        ("h1 a.test", &["g1", "h1"][..]),
        // One that is gone touches those that it met, and those that they meet.
        ("h9 a.test", &["g1", "h1"]),
        ("g9 a.test", &["h1", "g1"]),
        ("h9 nobody.test", &[]),
        ("g9 b.test", &["h2", "g2", "h3"]),
        ("h5 far.example", &["h5"]),
        // By wildcards above, below and both.
        ("g9 y.deep.test", &["h3", "g2", "h2"]),
        ("g9 deep.test", &[]),
        ("g9 *.test", &["h1", "h2", "h3", "h4", "g1", "g2"]),
        ("g9 *.x.deep.test", &["h3", "g2", "h2"]),
        ("h9 *.deep.test", &["g2", "h2", "h3"]),
        ("g9", &["h1", "h2", "h3", "h4", "h5", "h6", "g1", "g2"]),
        ("h9 a.test,other.example", &["g1", "h1", "g3"]),
    ] {
        let touched = index.touched(vec![read(change)]);
        let mut touched: Vec<&str> = touched.iter().map(|route| &*route.name).collect();
        let mut wanted = wanted.to_vec();
        touched.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(touched, wanted, "{change}");
    }
}

#[test]
fn what_is_taken_out_is_met_no_more() {
    let mut index = index(&["h1 a.test", "h2", "g1 *.test"]);
    let mut met = |gone: &str| {
        index.remove(&read(gone).0);
        let touched = index.touched(vec![read("g9 a.test")]);
        (touched.len(), index.is_settled())
    };
    assert_eq!(met("h3"), (3, false));
    assert_eq!(met("h2"), (2, false));
    assert_eq!(met("g1"), (1, true));
    assert_eq!(met("h1"), (0, true));
    assert!(index.http.names.is_empty() && index.grpc.names.is_empty(), "{index:?}");
}
