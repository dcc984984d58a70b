//! What happens when endpoints are slow, fail, or are too few: time-outs, retries, breakers and
//! ejection, with endpoints that do as they are told.

mod breakers;
mod outliers;
mod retries;
mod timeouts;
