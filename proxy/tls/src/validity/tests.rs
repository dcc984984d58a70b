use super::*;
use crate::fixture::{Ca, object};

#[test]
fn what_is_said_and_until_when() {
    let validity = Validity { not_before: 100 * DAY, not_after: 200 * DAY };
    let expired = "has expired: clients will refuse it";
    let cases = [
        (0, Some("is not valid yet: clients will refuse it"), Some(100 * DAY)),
        (100 * DAY - 1, Some("is not valid yet: clients will refuse it"), Some(100 * DAY)),
        (100 * DAY, None, Some(193 * DAY + 1)),
        (193 * DAY, None, Some(193 * DAY + 1)),
        (193 * DAY + 1, Some("expires within 7 days"), Some(199 * DAY + 1)),
        (199 * DAY, Some("expires within 7 days"), Some(199 * DAY + 1)),
        (199 * DAY + 1, Some("expires within a day"), Some(200 * DAY + 1)),
        (200 * DAY, Some("expires within a day"), Some(200 * DAY + 1)),
        (200 * DAY + 1, Some(expired), None),
        (u64::MAX, Some(expired), None),
    ];
    for (now, said, next) in cases {
        assert_eq!((validity.said(now), validity.next(now)), (said, next), "{now}");
    }
    // One that lives for less than the warnings says the last of them from the start.
    let short = Validity { not_before: 10, not_after: 20 };
    let moments: Vec<_> = [0, 10, 20, 21].map(|now| (short.said(now), short.next(now))).into();
    let early = "is not valid yet: clients will refuse it";
    assert_eq!(moments[..2], [(Some(early), Some(1)), (Some("expires within a day"), Some(21))]);
    assert_eq!(moments[2..], [(Some("expires within a day"), Some(21)), (Some(expired), None)]);
}

#[test]
fn of_a_certificate() {
    // They are made for the years from 1975 to 4096.
    let pair = Ca::new("ca").issue(&["a.example"]);
    assert_eq!(Validity::of(&pair), Some(Validity { not_before: 157_766_400, not_after: 67_090_118_400 }));
    let at = |seconds| lapse(&pair, SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    let (said, next) = at(0);
    let early = "Secret default/pair: tls.crt is not valid yet: clients will refuse it";
    assert_eq!(said.as_deref(), Some(early));
    assert_eq!(next, Some(SystemTime::UNIX_EPOCH + Duration::from_secs(157_766_400)));
    assert_eq!(at(1_800_000_000).0, None);
    let late = "Secret default/pair: tls.crt has expired: clients will refuse it";
    assert_eq!(at(100_000_000_000), (Some(late.to_owned()), None));
}

#[test]
fn of_no_certificate() {
    for chain in [vec![], vec![b"junk".to_vec()]] {
        let pair = KeyPair { source: object("Secret", "s"), chain, key: vec![] };
        assert_eq!(Validity::of(&pair), None);
        assert_eq!(lapse(&pair, SystemTime::UNIX_EPOCH), (None, None));
    }
}
