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

#[test]
fn examples_of_the_manual_are_good() {
    let manual = include_str!("../../../../docs/configuration.md");
    let blocks: Vec<&str> =
        manual.split("```yaml\n").skip(1).filter_map(|rest| rest.split_once("```")).map(|(y, _)| y).collect();
    assert!(blocks.len() >= 5, "the examples were not found");
    let folder = std::env::temp_dir().join(format!("weir-manual-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let results: Vec<Vec<String>> = blocks
        .iter()
        .enumerate()
        .map(|(at, block)| {
            let path = folder.join(format!("{at}.yaml"));
            std::fs::write(&path, block).unwrap();
            let problems = offline::load(&[path], None, "").unwrap().problems;
            problems.iter().map(ToString::to_string).collect()
        })
        .collect();
    std::fs::remove_dir_all(&folder).unwrap();
    for (block, problems) in blocks.iter().zip(results) {
        assert_eq!(problems, Vec::<String>::new(), "{block}");
    }
}
