//! Soaks the built binary for so many seconds and says what came of it.
//!
//! Usage: `soak SECONDS [SEED]`, as root; `WEIR_BIN` names the binary.

use std::env;
use std::process::ExitCode;

use tests::requirements;
use tests::soak::{Plan, run};

fn main() -> ExitCode {
    let numbers: Vec<Option<u64>> = env::args().skip(1).map(|word| word.parse().ok()).collect();
    let mut plan = match numbers[..] {
        [Some(seconds)] | [Some(seconds), _] => Plan::long(seconds),
        _ => {
            eprintln!("usage: soak SECONDS [SEED]");
            return ExitCode::from(2);
        }
    };
    if let [_, Some(seed)] = numbers[..] {
        plan.seed = seed;
    }
    if !requirements::met("soak") {
        return ExitCode::from(2);
    }
    println!("soaking for {} s, seed {}", plan.seconds, plan.seed);
    let report = run(&plan);
    print!("{report}");
    if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
