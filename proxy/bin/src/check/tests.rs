use super::*;

#[test]
fn errors_fail_and_warnings_only_when_strict() {
    let error = || Problem::error("bad");
    let warning = || Problem::warning("odd");
    let table: [(Vec<Problem>, bool, &str, bool); 5] = [
        (vec![], true, "0 errors, 0 warnings\n", false),
        (vec![warning()], false, "warning: odd\n0 errors, 1 warning\n", false),
        (vec![warning()], true, "error: odd\n1 error, 0 warnings\n", true),
        (vec![error(), warning()], false, "error: bad\nwarning: odd\n1 error, 1 warning\n", true),
        (vec![error(), error()], false, "error: bad\nerror: bad\n2 errors, 0 warnings\n", true),
    ];
    for (problems, strict, text, failed) in table {
        assert_eq!(report(&problems, strict), (text.to_owned(), failed));
    }
}
