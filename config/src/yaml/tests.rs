use serde_json::json;

use super::{MAX_DEPTH, MAX_VALUES, Node, Value, parse};

fn json_of(text: &str) -> Vec<serde_json::Value> {
    parse(text).expect(text).iter().map(Node::to_json).collect()
}

fn error_of(text: &str) -> String {
    let error = parse(text).expect_err(text);
    format!("{}: {}", error.line, error.message)
}

#[test]
fn scalars_mean_what_they_mean_to_kubectl() {
    let cases = [
        ("80", json!(80)),
        ("'80'", json!("80")),
        ("\"80\"", json!("80")),
        ("!!str 80", json!("80")),
        ("!!int 80", json!(80)),
        ("-7", json!(-7)),
        ("0644", json!(420)),
        ("0o17", json!(15)),
        ("0x1F", json!(31)),
        ("0b101", json!(5)),
        ("1_000", json!(1000)),
        ("08", json!(8)),
        ("18446744073709551615", json!(18_446_744_073_709_551_615_u64)),
        ("1.10", json!(1.1)),
        ("90.0", json!(90)),
        ("1e3", json!(1000)),
        (".5", json!(0.5)),
        ("1.2.3", json!("1.2.3")),
        ("10.0.0.1", json!("10.0.0.1")),
        ("10.0.0.0/8", json!("10.0.0.0/8")),
        ("2024-01-01T00:00:00Z", json!("2024-01-01T00:00:00Z")),
        ("10s", json!("10s")),
        ("-", json!([null])),
        (".", json!(".")),
        ("+-5", json!("+-5")),
        ("on", json!(true)),
        ("No", json!(false)),
        ("n", json!(false)),
        ("nope", json!("nope")),
        ("~", json!(null)),
        ("NULL", json!(null)),
        ("|\n a\n b\n", json!("a\nb\n")),
    ];
    for (text, expected) in cases {
        assert_eq!(json_of(text), [expected], "{text}");
    }
}

#[test]
fn documents_anchors_and_merges() {
    let cases = [
        ("", vec![]),
        ("# nothing\n", vec![]),
        ("---\n---\na: 1\n...\n---\nb: 2\n", vec![json!(null), json!({"a": 1}), json!({"b": 2})]),
        ("a: &x {b: 1}\nc: *x\n", vec![json!({"a": {"b": 1}, "c": {"b": 1}})]),
        (
            "a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}\n",
            vec![json!({"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 3}})],
        ),
        ("d: {<<: [{a: 1}, {a: 2, b: 2}]}\n", vec![json!({"d": {"a": 1, "b": 2}})]),
        ("'<<': {a: 1}\n", vec![json!({"<<": {"a": 1}})]),
        ("80: x\ntrue: z\n", vec![json!({"80": "x", "true": "z"})]),
        ("{\n\t\"a\": [1,\n\t\t2]\n}\n", vec![json!({"a": [1, 2]})]),
        ("a: 1\r\nb: 2\r\n", vec![json!({"a": 1, "b": 2})]),
    ];
    for (text, expected) in cases {
        assert_eq!(json_of(text), expected, "{text:?}");
    }
}

#[test]
fn errors_name_the_line() {
    let cases = [
        ("a: 1\nb: [1, 2\nc: 3\n", "3: is not YAML"),
        ("a: 1\n  b: 2\n", "2: is not YAML"),
        ("a:\n- &x [*x]\n", "2: an alias inside the value that it names"),
        ("a: 1\nb: *nothing\n", "2: is not YAML"),
        ("a: 1\nb: !secret x\n", "2: the tag `!secret` has no meaning in Kubernetes"),
        ("a: !!binary aGk=\n", "1: the tag `!!binary` has no meaning in Kubernetes"),
        ("a: !!int x\n", "1: `x` is not of type !!int"),
        ("a: .inf\n", "1: `.inf` is not a number that JSON has"),
        ("a: 1\n? [x]\n: 1\n", "2: a key must be a plain value"),
        ("a: 1\n~: 1\n", "2: a key is missing"),
        ("<<: 3\n", "1: `<<` takes a mapping"),
    ];
    for (text, expected) in cases {
        let error = error_of(text);
        assert!(error.starts_with(expected), "{text:?}: {error}");
    }
}

#[test]
fn aliases_cannot_multiply_without_bound() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let before = format!("*a{}", level - 1);
        text += &format!("a{level}: &a{level} [{}]\n", vec![before; 10].join(", "));
    }
    let too_many = "aliases repeat more than 100000 values";
    assert!(error_of(&text).contains(too_many), "{}", error_of(&text));

    let long = format!("a: &x {}\nb: [{}]\n", "x".repeat(100_000), vec!["*x"; 1000].join(", "));
    assert!(error_of(&long).contains(too_many), "{}", error_of(&long));
    assert!(parse(&format!("a: &x [1, 2]\nb: [{}]\n", vec!["*x"; 1000].join(", "))).is_ok());
}

#[test]
fn what_is_written_out_is_bounded_too() {
    let values = |count: usize| format!("[{}]", vec!["1"; count].join(","));
    assert!(parse(&values(MAX_VALUES - 1)).is_ok());
    assert!(error_of(&values(MAX_VALUES)).contains("more than 1000000 values"));
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(parse(&nested(MAX_DEPTH)).is_ok());
    assert!(error_of(&nested(MAX_DEPTH + 1)).contains("deeper than 64"));
    let by_alias = format!("a: &x {}\nb: [[*x]]\n", nested(MAX_DEPTH - 1));
    assert!(error_of(&by_alias).contains("deeper than 64"));
}

#[test]
fn nodes_know_their_lines() {
    let nodes = parse("# c\na: 1\nb:\n  - c: |\n      x\n      y\n    d: 2\n  - 3\n").unwrap();
    let Value::Mapping(entries) = &nodes[0].value else { panic!() };
    assert_eq!(entries[0].0.line, 2);
    assert_eq!(entries[1].0.line, 3);
    let Value::Sequence(items) = &entries[1].1.value else { panic!() };
    assert_eq!((items[0].line, items[1].line), (4, 8));
    assert_eq!(items[0].entries()[1].0.line, 7);
}
