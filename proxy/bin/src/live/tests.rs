use super::*;

#[test]
fn a_question_survives_the_way_to_the_node() {
    let words = [
        "--from=default/a",
        "--to=10.0.0.1:80",
        "--protocol=udp",
        "--method=GET",
        "--path=/x?y=1 2",
        "--host=a.test",
        "--header=X-A: 1",
        "--header=X-B: --to",
    ];
    let question = Question::try_parse_from(words).unwrap();
    assert_eq!(to_words(&question.args), words);
}

#[test]
fn what_cannot_be_answered_says_why() {
    for words in ["", "{}", "[\"--from\"]", "[\"--from=default/none\", \"--to=1.2.3.4:80\"]"] {
        let answer = respond(&Snapshot::default(), words);
        assert!(answer["error"].is_string(), "{words}: {answer}");
    }
}
