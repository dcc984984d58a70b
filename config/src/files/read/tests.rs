use super::*;

#[test]
fn errors_about_the_moment_are_told_from_errors_about_the_path() {
    let (io, again, nomem, access, isdir, nfile, mfile, stale) = (5, 11, 12, 13, 21, 23, 24, 116);
    for (errno, passes) in [
        (io, true),
        (again, true),
        (nomem, true),
        (access, false),
        (isdir, false),
        (nfile, true),
        (mfile, true),
        (stale, true),
    ] {
        let error = io::Error::from_raw_os_error(errno);
        assert_eq!(is_passing(&error), passes, "{error}");
    }
    assert!(!is_passing(&io::Error::other("it is larger than 16 MiB")));
}
