//! `rules[].retry` of an HTTPRoute.

use gateway_api::experimental::httproutes::HttpRouteRulesRetry;
use model::route::Retry;

use crate::report;
use crate::routes::compile::Compiler;

/// `attempts` where the object does not say.
const ATTEMPTS: i64 = 1;
/// Most `attempts`: more would be a flood and not a remedy.
const MAX_ATTEMPTS: i64 = 100;

impl Compiler<'_> {
    /// Reads the field; a value out of range refuses the route.
    pub(super) fn retry(&mut self, field: &str, object: Option<&HttpRouteRulesRetry>) -> Option<Retry> {
        let object = object?;
        let mut codes: Vec<u16> = Vec::new();
        for (at, code) in object.codes.iter().flatten().enumerate() {
            match u16::try_from(*code).ok().filter(|code| (400..600).contains(code)) {
                Some(code) if codes.contains(&code) => {}
                Some(code) => codes.push(code),
                None => {
                    let message = format!("{code} is not the status of an error, 400 to 599");
                    report::error(&mut self.problems, format!("{field}.codes[{at}]"), message);
                }
            }
        }
        let attempts = object.attempts.unwrap_or(ATTEMPTS);
        if !(0..=MAX_ATTEMPTS).contains(&attempts) {
            let message = format!("must be from 0 to {MAX_ATTEMPTS}, not {attempts}");
            report::error(&mut self.problems, format!("{field}.attempts"), message);
        }
        let backoff = self.duration(&format!("{field}.backoff"), object.backoff.as_deref());
        Some(Retry { codes, attempts: u32::try_from(attempts).unwrap_or_default(), backoff })
    }
}
