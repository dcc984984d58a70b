//! Where Weir refuses a policy that Cilium's agent accepts, and why. Every entry is hit by a
//! recorded case; in no case does Weir accept what the agent refuses, or judge a flow differently.

use crate::world::Refusal;

/// A kind of difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Difference {
    /// The policy uses what Weir does not enforce yet (DNS, ICMP, host policies, authentication...).
    /// It is refused, never enforced in part.
    Later,
    /// A field that the CRD does not have. The agent drops it silently, and what remains often
    /// allows or denies more than was meant (`rules.kafka`, `egressDeny` with `toFQDNs`).
    UnknownField,
    /// The API server's schema refuses it before the agent could see it. Weir reads files, too,
    /// with no API server in front, and checks the same (`protocol: tcp`, `endPort: 65536`, HTTP
    /// rules in a deny rule, which the agent would drop).
    Schema,
    /// `port: "010"` is 8 for the agent and `"8_0"` is 80; nobody means that.
    OddPort,
    /// A range that begins at port 0, at a name or above its end. The agent takes the first for every
    /// port, the second for a range at ingress alone, and drops the end of the third.
    OddRange,
    /// A `host` that is no regular expression: the agent does not look, and Envoy refuses its whole
    /// configuration.
    HostExpression,
}

/// What the hand-made cases hit.
pub(crate) const HAND_MADE: [Difference; 6] = [
    Difference::Later,
    Difference::UnknownField,
    Difference::Schema,
    Difference::OddPort,
    Difference::OddRange,
    Difference::HostExpression,
];

/// What the random cases hit.
pub(crate) const RANDOM: [Difference; 5] = [
    Difference::Later,
    Difference::Schema,
    Difference::OddPort,
    Difference::OddRange,
    Difference::HostExpression,
];

/// The difference a refusal falls under. `schema`: the API server's schema accepts the policy.
pub(crate) fn find(refusal: &Refusal, schema: bool) -> Option<Difference> {
    match refusal {
        Refusal::UnknownField(_) => Some(Difference::UnknownField),
        Refusal::Translate(fault) if fault.message.contains("not enforced by this version") => {
            Some(Difference::Later)
        }
        _ if !schema => Some(Difference::Schema),
        Refusal::Translate(fault) if fault.field.ends_with(".endPort") => Some(Difference::OddRange),
        Refusal::Translate(fault) if fault.field.ends_with(".port") => Some(Difference::OddPort),
        Refusal::Translate(fault) if fault.field.ends_with(".host") => Some(Difference::HostExpression),
        _ => None,
    }
}
