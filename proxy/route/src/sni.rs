//! TLSRoutes by server name.

use std::sync::Arc;

use model::route::{RouteRule, SniTable};

/// The rule for a server name in lower case: its own, else that of the longest wildcard, else that
/// of routes without hostnames, which alone serve clients that send no name.
#[must_use]
pub fn sni<'t>(table: &'t SniTable, name: Option<&str>) -> Option<&'t Arc<RouteRule>> {
    let named = name.and_then(|name| {
        let wildcard = || {
            // `*` stands for one or more labels: the first suffix found is the longest.
            let suffixes = name.match_indices('.').map(|(at, _)| &name[at..]);
            suffixes.filter_map(|suffix| table.wildcard.get(suffix)).next()
        };
        table.exact.get(name).or_else(wildcard)
    });
    named.or(table.any.as_ref())
}

#[cfg(test)]
mod tests;
