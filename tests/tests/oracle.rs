//! Weir's policy translation against Cilium's own policy engine.
//!
//! `oracle/` holds questions (policies, endpoints, flows) with the answers of Cilium 1.20's engine:
//! hand-made ones and 2,000 random ones. Each goes through the code that translates policies for the
//! data plane; which policies are accepted, what happens to each flow on each side and which HTTP
//! rules apply must be the same, but for the differences listed in `oracle/differences.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use model::policy::{Direction, DirectionPolicy, HttpRules};
use model::workload::Protocol;
use policy::ConnectionVerdict;
use serde_json::Value;

#[path = "oracle/differences.rs"]
mod differences;
#[path = "oracle/record.rs"]
mod record;
#[path = "oracle/world.rs"]
mod world;

use differences::Difference;
use record::{L7, Record};
use world::World;

#[test]
fn hand_made_cases_give_the_engines_answers() {
    let records = BufReader::new(File::open(folder().join("cases.jsonl")).expect("the cases"));
    let tally = run(records);
    tally.check(100, 150);
    let expected: BTreeSet<Difference> = differences::HAND_MADE.into();
    assert_eq!(tally.differences.keys().copied().collect::<BTreeSet<_>>(), expected);
}

#[test]
fn random_cases_give_the_engines_answers() {
    let file = File::open(folder().join("random.jsonl.gz")).expect("the random cases");
    let tally = run(BufReader::new(flate2::read::GzDecoder::new(file)));
    tally.check(2000, 15_000);
    let expected: BTreeSet<Difference> = differences::RANDOM.into();
    assert_eq!(tally.differences.keys().copied().collect::<BTreeSet<_>>(), expected);
}

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("oracle")
}

/// What was compared and what differed.
#[derive(Debug, Default)]
struct Tally {
    records: usize,
    policies: usize,
    flows: usize,
    words: BTreeMap<&'static str, usize>,
    /// Records left out of the comparison of flows since a policy was listed as different.
    skipped: usize,
    differences: BTreeMap<Difference, usize>,
    wrong: Vec<String>,
}

impl Tally {
    fn check(&self, records: usize, flows: usize) {
        println!(
            "{} records, {} policies, {} flows {:?}; {} records differ as listed: {:?}",
            self.records, self.policies, self.flows, self.words, self.skipped, self.differences
        );
        assert!(
            self.wrong.is_empty(),
            "{} wrong, first:\n{}",
            self.wrong.len(),
            self.wrong[..self.wrong.len().min(12)].join("\n")
        );
        assert!(self.records >= records, "only {} records", self.records);
        assert!(self.flows >= flows, "only {} flows", self.flows);
    }
}

fn run(records: impl BufRead) -> Tally {
    let mut tally = Tally::default();
    for line in records.lines() {
        let record: Record = serde_json::from_str(&line.expect("a line")).expect("a record");
        tally.records += 1;
        compare(&record, &mut tally);
    }
    tally
}

fn compare(record: &Record, tally: &mut Tally) {
    let mut world = World::new(record);
    let mut same = true;
    for (at, policy) in record.policies.iter().enumerate() {
        tally.policies += 1;
        let refusal = world.add(policy);
        match (record.agent[at], refusal) {
            (true, None) | (false, Some(_)) => {}
            (false, None) => {
                let text = format!("{}: policy {at} is accepted, the engine refuses it: {policy}", record.id);
                tally.wrong.push(text);
                same = false;
            }
            (true, Some(refusal)) => {
                same = false;
                match differences::find(&refusal, record.schema[at]) {
                    Some(difference) => *tally.differences.entry(difference).or_default() += 1,
                    None => tally
                        .wrong
                        .push(format!("{}: policy {at} is refused: {refusal}: {policy}", record.id)),
                }
            }
        }
    }
    if !same {
        tally.skipped += 1;
        return;
    }
    for (at, flow) in record.flows.iter().enumerate() {
        tally.flows += 1;
        let answer = &record.verdicts[at];
        for (direction, word, l7) in [
            (Direction::Egress, &answer.egress, &answer.l7.egress),
            (Direction::Ingress, &answer.ingress, &answer.l7.ingress),
        ] {
            let (subject, peer) = match direction {
                Direction::Egress => (&flow.from, &flow.to),
                Direction::Ingress => (&flow.to, &flow.from),
            };
            let peer = world.identity(peer);
            let (mine, rules) = match world.policy(subject) {
                None => ("unenforced", None),
                Some(policy) => side(policy.direction(direction), peer, protocol(&flow.protocol), flow.port),
            };
            *tally.words.entry(mine).or_default() += 1;
            let theirs = l7.as_ref().map(|l7| (l7.any, united(l7)));
            let ours = rules.map(|rules| (lets_all(rules), rules_of(rules, record)));
            if mine != word || ours != theirs {
                tally.wrong.push(format!(
                    "{} flow {at} {direction} {flow:?}: {mine} {ours:?}, the engine says {word} {theirs:?}",
                    record.id
                ));
            }
        }
    }
}

fn protocol(name: &str) -> Protocol {
    match name {
        "TCP" => Protocol::Tcp,
        "UDP" => Protocol::Udp,
        "SCTP" => Protocol::Sctp,
        "ICMP" => Protocol::Icmp,
        "ICMPv6" => Protocol::IcmpV6,
        other => panic!("protocol {other}"),
    }
}

fn side(
    policy: &DirectionPolicy,
    peer: model::identity::IdentityId,
    protocol: Protocol,
    port: u16,
) -> (&'static str, Option<&HttpRules>) {
    match policy::connection(policy, peer, protocol, port) {
        ConnectionVerdict::Allow(_) => ("allow", None),
        ConnectionVerdict::Deny { .. } => ("deny", None),
        ConnectionVerdict::Http(rules) => ("redirect", Some(rules)),
    }
}

/// Whether some rule lets every request through.
fn lets_all(rules: &HttpRules) -> bool {
    let empty = |rule: &model::policy::HttpRule| {
        rule.path.is_none()
            && rule.method.is_none()
            && rule.host.is_none()
            && rule.headers.is_empty()
            && rule.edits.is_empty()
    };
    rules.any.is_some() || rules.rules.iter().any(|rule| empty(rule))
}

/// The engine's HTTP rules. `{}` is what `any` says, and the engine adds some of its own.
fn united(l7: &L7) -> BTreeSet<String> {
    assert_eq!(l7.parser, "http");
    l7.http.iter().filter(|rule| **rule != Value::Object(Default::default())).map(Value::to_string).collect()
}

/// Our HTTP rules as they stand in the policies, found by the places that the compiled ones name.
fn rules_of(rules: &HttpRules, record: &Record) -> BTreeSet<String> {
    let find = |by: &model::policy::RuleRef| -> Value {
        let is_it = |policy: &&Value| {
            let name = policy["metadata"]["name"].as_str();
            let namespace = policy["metadata"]["namespace"].as_str().unwrap_or("default");
            policy["kind"] == by.policy.kind
                && name == Some(&by.policy.name)
                && (by.policy.namespace.is_empty() || namespace == &*by.policy.namespace)
        };
        let policy = record.policies.iter().find(is_it).expect("the policy a rule names");
        let pointer = format!("/{}", by.place.replace('[', "/").replace(']', "").replace('.', "/"));
        policy.pointer(&pointer).unwrap_or_else(|| panic!("{by}: no such place")).clone()
    };
    let found = rules.rules.iter().map(|rule| find(&rule.by));
    found.filter(|rule| *rule != Value::Object(Default::default())).map(|rule| rule.to_string()).collect()
}
