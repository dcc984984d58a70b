//! What is measured, and what it is held against.

/// A kind of figure: its name in JSON, its heading in tables, and how it is printed.
#[derive(Debug)]
pub(crate) struct Metric {
    /// In JSON; the unit is part of it.
    pub(crate) key: &'static str,
    /// In tables.
    pub(crate) heading: &'static str,
    /// Digits after the point in tables.
    pub(crate) digits: usize,
}

/// Declares metrics.
macro_rules! metrics {
    ($($name:ident: $key:literal, $heading:literal, $digits:literal;)+) => {
        $(
            #[doc = $heading]
            pub(crate) const $name: &Metric = &Metric { key: $key, heading: $heading, digits: $digits };
        )+
    };
}

metrics! {
    CPU_PER_REQUEST: "cpu_us_per_request", "CPU µs/req", 1;
    CPU_PER_HANDSHAKE: "cpu_us_per_handshake", "CPU µs/handshake", 1;
    CPU_PER_GB: "cpu_ms_per_gb", "CPU ms/GB", 1;
    REQUESTS_PER_SECOND: "requests_per_second", "req/s", 0;
    HANDSHAKES_PER_SECOND: "handshakes_per_second", "handshakes/s", 0;
    GB_PER_SECOND: "gb_per_second", "GB/s", 2;
    P50: "p50_us", "p50 µs", 0;
    P99: "p99_us", "p99 µs", 0;
    RSS: "rss_kib", "RSS KiB", 0;
    PSS: "pss_mib", "PSS MiB", 2;
    PSS_PER_CONNECTION: "pss_kib_per_connection", "KiB/connection", 2;
    PSS_PER_1000_ROUTES: "pss_mib_per_1000_routes", "MiB/1,000 routes", 2;
    CHANGE_P50_MS: "change_p50_ms", "p50 ms", 2;
    CHANGE_P99_MS: "change_p99_ms", "p99 ms", 2;
    CHANGE_MAX_MS: "change_max_ms", "max ms", 2;
    FAILED: "failed_requests", "failed", 0;
    EDITS: "edits", "edits", 0;
}

/// The figures of one turn.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures(Vec<(&'static Metric, f64)>);

impl Figures {
    /// Figures in the order that they are shown in.
    pub(crate) fn new(figures: impl IntoIterator<Item = (&'static Metric, f64)>) -> Self {
        Self(figures.into_iter().collect())
    }

    /// One of them.
    pub(crate) fn get(&self, metric: &Metric) -> Option<f64> {
        self.0.iter().find(|(known, _)| known.key == metric.key).map(|(_, value)| *value)
    }

    /// What they are of.
    pub(crate) fn metrics(&self) -> impl Iterator<Item = &'static Metric> {
        self.0.iter().map(|(metric, _)| *metric)
    }

    /// All of them, for one line.
    pub(crate) fn line(&self) -> String {
        let parts =
            self.0.iter().map(|(metric, value)| format!("{} {value:.*}", metric.heading, metric.digits));
        parts.collect::<Vec<_>>().join("  ")
    }
}

/// A bound on the median of a figure of Weir's, or on the median of its ratio to another's.
#[derive(Debug)]
pub(crate) struct Target {
    /// Which figure.
    pub(crate) metric: &'static Metric,
    /// Whose.
    pub(crate) subject: &'static str,
    /// Compared with the same figure of the same round of this one; none: the figure itself.
    pub(crate) against: Option<&'static str>,
    /// What it may be at most.
    pub(crate) max: f64,
}

/// A bound on Weir's ratio to a peer.
pub(crate) const fn ratio(metric: &'static Metric, against: &'static str, max: f64) -> Target {
    Target { metric, subject: "weir", against: Some(against), max }
}

/// A bound on a figure of Weir's itself.
pub(crate) const fn at_most(metric: &'static Metric, max: f64) -> Target {
    Target { metric, subject: "weir", against: None, max }
}

/// The middle of some figures: the mean of the two in the middle if they are even in number; not a
/// number if there are none.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.len().saturating_sub(1) / 2, values.len() / 2);
    match (values.get(low), values.get(high)) {
        (Some(low), Some(high)) => f64::midpoint(*low, *high),
        _ => f64::NAN,
    }
}

/// The value that a share of the sorted values is at most (nearest rank); not a number if there are none.
pub(crate) fn percentile(sorted: &[f64], share: f64) -> f64 {
    let count = u32::try_from(sorted.len()).map_or(f64::INFINITY, f64::from);
    let rank = (count * share).ceil().max(1.0);
    // The rank is a small whole number.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let index = rank as usize - 1;
    sorted.get(index).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests;
