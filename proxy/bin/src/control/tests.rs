use super::*;

#[test]
fn node_addresses_that_cannot_be_read_stay_as_they_were() {
    let (one, two) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
    let found =
        |node_addresses: &[IpAddr]| Found { node_addresses: node_addresses.into(), ..Found::default() };
    let mut pods = Pods { by_name: None, own: Vec::new(), found: found(&[]), finder: None };
    for (addresses, is_news, after) in [
        (&[one][..], true, &[one][..]),
        (&[], false, &[one]),
        (&[one, two], true, &[one, two]),
        (&[], false, &[one, two]),
        (&[two], true, &[two]),
    ] {
        assert_eq!(pods.update(found(addresses)), is_news, "{addresses:?}");
        assert_eq!(pods.node_addresses(), after, "{addresses:?}");
    }
}
