//! Reports of the load generators.

use super::{Load, h2load, handshakes, microseconds, probe, wrk};

const WRK: &str = "Running 5s test @ http://10.77.1.1:7001/public
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.92ms  310.00us   9.71ms   90.12%
    Req/Sec    33.40k     1.20k   35.01k    80.00%
  Latency Distribution
     50%    1.85ms
     75%    1.99ms
     90%    2.20ms
     99%    843.00us
  166345 requests in 5.01s, 20.95MB read
Requests/sec:  33210.51
Transfer/sec:      4.18MB
";

const H2LOAD: &str = "
finished in 1.01s, 324272.00 req/s, 31.23MB/s
requests: 324272 total, 324400 started, 324272 done, 324272 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 324272 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 31.23MB (32751664) total, 5.88MB (6161168) headers (space savings 60.42%), 19.79MB (20753408) data
";

#[test]
fn reads_wrk() {
    let expected =
        Load { done: 166_345.0, failed: 0.0, per_second: 33_210.51, p50_us: 1_850.0, p99_us: 843.0 };
    assert_eq!(wrk::parse(WRK).unwrap(), expected);
    assert!(expected.flawless().is_ok());
}

#[test]
fn counts_what_wrk_says_failed() {
    let cases = [
        ("  Non-2xx or 3xx responses: 5\n", 5.0),
        ("  Socket errors: connect 0, read 1, write 2, timeout 4\n", 7.0),
        ("  Socket errors: connect 0, read 0, write 0, timeout 0\n", 0.0),
    ];
    for (line, expected) in cases {
        let load = wrk::parse(&WRK.replace("Requests/sec:", &format!("{line}Requests/sec:"))).unwrap();
        assert_eq!(load.failed, expected, "{line}");
        assert_eq!(load.flawless().is_ok(), expected == 0.0);
    }
    let none = WRK.replace("33210.51", "0.00");
    for text in ["", "unable to connect", &none, &WRK.replace("50%", "x")] {
        assert!(wrk::parse(text).is_err(), "{text}");
    }
}

#[test]
fn reads_h2load() {
    let load = h2load::parse(H2LOAD).unwrap();
    assert_eq!((load.done, load.failed, load.per_second), (324_272.0, 0.0, 324_272.0));
    let cases = [
        ("324272 2xx, 0 3xx, 0 4xx", "324262 2xx, 0 3xx, 10 4xx", 10.0),
        ("324272 2xx, 0 3xx", "324271 2xx, 1 3xx", 1.0),
        ("0 errored", "3 errored", 3.0),
        ("0 timeout", "4 timeout", 4.0),
    ];
    for (from, to, expected) in cases {
        assert_eq!(h2load::parse(&H2LOAD.replace(from, to)).unwrap().failed, expected, "{to}");
    }
    for text in ["", &H2LOAD.replace("status codes", "codes"), &H2LOAD.replace("324272 done", "0 done")] {
        assert!(h2load::parse(text).is_err(), "{text}");
    }
}

#[test]
fn reads_logs_of_h2load() {
    let log: String = (1..=200).map(|n| format!("1795425725541483\t200\t{n}\n")).collect();
    assert_eq!(h2load::latencies(&log).unwrap(), (100.0, 198.0));
    assert!(h2load::latencies("").is_err());
    assert!(h2load::latencies("x").is_err());
}

#[test]
fn reads_s_time() {
    let report = "Collecting connection statistics for 3 seconds\n\n\n1896 connections in 0.76s; 2494.74 connections/user sec, bytes read 0\n1896 connections in 4 real seconds, 0 bytes read per connection\n";
    assert_eq!(handshakes::parse(report).unwrap(), (1896.0, 474.0));
    assert!(handshakes::parse("ERROR").is_err());
}

#[test]
fn reads_edits() {
    let head = "HTTP/1.1 200 OK\r\nX-Edit: 7\r\nContent-Length: 2\r\n\r\n";
    assert_eq!(probe::edit(head.as_bytes()).unwrap(), None);
    assert_eq!(probe::edit(format!("{head}ok").as_bytes()).unwrap(), Some(Some(7)));
    assert_eq!(probe::edit(format!("{head}ok").replace("X-Edit", "x").as_bytes()).unwrap(), Some(None));
    for wrong in ["HTTP/1.1 404 Not Found\r\n\r\n", &format!("{head}ok!")] {
        assert!(probe::edit(wrong.as_bytes()).is_err(), "{wrong}");
    }
}

#[test]
fn reads_every_unit() {
    for (text, expected) in
        [("843.00us", 843.0), ("1.50ms", 1_500.0), ("2.00s", 2e6), ("1.00m", 60e6), ("58us", 58.0)]
    {
        assert_eq!(microseconds(text), Some(expected));
    }
    assert_eq!(microseconds("5"), None);
}
