use super::*;

/// The checksum that makes header, payload and addresses add up to all ones.
fn adds_up(from: &str, to: &str, datagram: &[u8]) -> bool {
    let octets = |text: &str| match text.parse::<SocketAddr>().unwrap().ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let length = u64::try_from(datagram.len()).unwrap();
    let mut sum = words(&octets(from)) + words(&octets(to)) + words(datagram) + 17 + length;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum == 0xffff
}

#[test]
fn datagrams_have_ports_length_and_checksum() {
    let cases: [(&str, &str, &[u8]); 5] = [
        ("10.96.0.5:53", "10.0.0.2:40000", b""),
        ("10.96.0.5:53", "10.0.0.2:40000", b"answer"),
        ("10.96.0.5:53", "10.0.0.2:40000", b"odd"),
        ("[fd96::5]:53", "[fd00::2]:65535", b"answer"),
        ("255.255.255.255:65535", "255.255.255.255:65535", &[0xff; 1_400]),
    ];
    for (from, to, bytes) in cases {
        let (sender, receiver) = (from.parse::<SocketAddr>().unwrap(), to.parse::<SocketAddr>().unwrap());
        let datagram = datagram(sender, receiver, bytes).unwrap();
        assert_eq!(datagram[..2], sender.port().to_be_bytes());
        assert_eq!(datagram[2..4], receiver.port().to_be_bytes());
        assert_eq!(usize::from(u16::from_be_bytes([datagram[4], datagram[5]])), 8 + bytes.len());
        assert_eq!(&datagram[8..], bytes);
        assert!(adds_up(from, to, &datagram), "{from} {to} {bytes:?}");
    }
}

#[test]
fn a_checksum_of_zero_is_sent_as_ones() {
    let (from, to) = ("0.0.0.0:1".parse().unwrap(), "0.0.0.0:1".parse().unwrap());
    // 17 + twice the length + both ports, and the rest of what makes all ones.
    let rest: u16 = 0xffff - 17 - 20 - 2;
    assert_eq!(datagram(from, to, &rest.to_be_bytes()).unwrap()[6..8], [0xff, 0xff]);
}

#[test]
fn what_is_too_long_or_of_two_families_is_not_sent() {
    let (v4, v6) = ("10.0.0.1:1".parse().unwrap(), "[fd00::1]:1".parse().unwrap());
    assert!(datagram(v4, v4, &[0; 65_527]).is_some());
    assert!(datagram(v4, v4, &[0; 65_528]).is_none());
    assert!(datagram(v4, v6, b"").is_none());
}
