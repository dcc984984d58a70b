use super::*;
use model::identity::Label;

fn requirement(source: Option<&str>, operator: Operator) -> Requirement {
    Requirement { source: source.map(Into::into), key: "app".into(), operator }
}

#[test]
fn requirements_follow_the_label_selector_rules() {
    let with = Labels::new(vec![Label::new("k8s", "app", "web"), Label::new("reserved", "x", "")]);
    let without = Labels::default();
    let values = |list: &[&str]| list.iter().map(|v| Arc::from(*v)).collect::<Vec<_>>();
    let cases = [
        (None, Operator::In(values(&["web", "api"])), true, false),
        (Some("k8s"), Operator::In(values(&["web"])), true, false),
        (Some("reserved"), Operator::In(values(&["web"])), false, false),
        (None, Operator::In(values(&["api"])), false, false),
        (None, Operator::NotIn(values(&["web"])), false, true),
        (None, Operator::NotIn(values(&["api"])), true, true),
        (Some("reserved"), Operator::NotIn(values(&["web"])), true, true),
        (None, Operator::Exists, true, false),
        (None, Operator::DoesNotExist, false, true),
        (Some("reserved"), Operator::DoesNotExist, true, true),
    ];
    for (source, operator, on_with, on_without) in cases {
        let requirement = requirement(source, operator);
        assert_eq!(requirement.matches(&with), on_with, "{requirement:?} on {with:?}");
        assert_eq!(requirement.matches(&without), on_without, "{requirement:?} on no labels");
    }
}

#[test]
fn a_selector_needs_all_its_requirements_and_without_any_selects_everything() {
    let labels = Labels::new(vec![Label::new("k8s", "app", "web")]);
    let web = requirement(None, Operator::In(vec!["web".into()]));
    let other = Requirement { key: "tier".into(), ..requirement(None, Operator::Exists) };
    assert!(Selector { requirements: vec![web.clone()] }.matches(&labels));
    assert!(!Selector { requirements: vec![web, other] }.matches(&labels));
    assert!(Selector::default().matches(&labels) && Selector::default().is_wildcard());
}
