//! Reports of wrk.

use super::{Load, microseconds, parse};

const REPORT: &str = "Running 5s test @ http://10.77.1.1:7001/public
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

#[test]
fn reads_a_report() {
    let expected =
        Load { requests: 166_345.0, requests_per_second: 33_210.51, p50_us: 1_850.0, p99_us: 843.0 };
    assert_eq!(parse(REPORT).unwrap(), expected);
}

#[test]
fn refuses_failed_requests_and_other_text() {
    let failures =
        ["  Non-2xx or 3xx responses: 5\n", "  Socket errors: connect 0, read 1, write 0, timeout 0\n"];
    for failure in failures {
        let text = REPORT.replace("Requests/sec:", &format!("{failure}Requests/sec:"));
        assert!(parse(&text).unwrap_err().to_string().contains(failure.trim()));
    }
    for text in ["", "unable to connect", &REPORT.replace("166345", "0"), &REPORT.replace("50%", "x")] {
        assert!(parse(text).is_err(), "{text}");
    }
}

#[test]
fn reads_every_unit() {
    for (text, expected) in [("843.00us", 843.0), ("1.50ms", 1_500.0), ("2.00s", 2e6), ("1.00m", 60e6)] {
        assert_eq!(microseconds(text).unwrap(), expected);
    }
    assert!(microseconds("5").is_err());
}
