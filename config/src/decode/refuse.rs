//! What a refused policy closes, as far as its raw form tells.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use objects::{FieldPath, RefusedRule};

use super::typed::strict;
use crate::yaml::{Node, Value};

/// Every field of a rule; another one may be a direction that is misspelt.
const KNOWN: [&str; 10] = [
    "endpointSelector",
    "nodeSelector",
    "ingress",
    "ingressDeny",
    "egress",
    "egressDeny",
    "enableDefaultDeny",
    "labels",
    "description",
    "log",
];

/// What each rule of a policy closes, and the selectors that cannot be read.
pub(super) fn rules(policy: &Node) -> (Vec<RefusedRule>, Vec<FieldPath>) {
    let mut rules = Vec::new();
    let mut unreadable = Vec::new();
    let spec = FieldPath::default().key("spec");
    if let Some(rule) = policy.get("spec").filter(|spec| !spec.is_null()) {
        rules.push(one(rule, spec.clone(), &mut unreadable));
    }
    let specs = FieldPath::default().key("specs");
    match policy.get("specs").map(|specs| &specs.value) {
        Some(Value::Sequence(list)) => {
            for (index, rule) in list.iter().enumerate() {
                rules.push(one(rule, specs.clone().index(index), &mut unreadable));
            }
        }
        Some(Value::Mapping(_)) => unreadable.push(specs),
        _ if rules.is_empty() => unreadable.push(spec),
        _ => {}
    }
    if rules.is_empty() {
        rules.push(RefusedRule { selector: None, nodes: false, ingress: true, egress: true });
    }
    (rules, unreadable)
}

fn one(rule: &Node, path: FieldPath, unreadable: &mut Vec<FieldPath>) -> RefusedRule {
    let names = |keys: [&str; 2]| keys.iter().any(|key| rule.get(key).is_some_and(|value| !value.is_null()));
    let nodes = rule.get("nodeSelector").is_some() && rule.get("endpointSelector").is_none();
    let field = if nodes { "nodeSelector" } else { "endpointSelector" };
    let selector = rule.get(field).and_then(selector);
    if selector.is_none() {
        unreadable.push(path.key(field));
    }
    let asks = |direction: &str| {
        let asked = rule.get("enableDefaultDeny").and_then(|deny| deny.get(direction));
        asked.is_some_and(|asked| asked.to_json() == serde_json::Value::Bool(true))
    };
    let ingress = names(["ingress", "ingressDeny"]) || asks("ingress");
    let egress = names(["egress", "egressDeny"]) || asks("egress");
    let misspelt = rule.entries().iter().any(|(key, _)| !KNOWN.contains(&key.text.as_str()));
    let both = misspelt || !(ingress || egress);
    RefusedRule { selector, nodes, ingress: ingress || both, egress: egress || both }
}

/// A selector in which nothing is unknown and every operator is one.
fn selector(node: &Node) -> Option<LabelSelector> {
    let mut unknown = Vec::new();
    super::typed::repeated_keys(node, &mut unknown);
    let selector: LabelSelector = strict(node.to_json(), &mut unknown).ok()?;
    let operators = selector.match_expressions.iter().flatten();
    let known = |operator: &str| matches!(operator, "In" | "NotIn" | "Exists" | "DoesNotExist");
    let readable = operators.into_iter().all(|one| !one.key.is_empty() && known(&one.operator));
    Some(selector).filter(|_| readable && unknown.is_empty())
}
