//! BackendTLSPolicies and XBackendTrafficPolicies: the schemas and rules of their CRDs.

use gateway_api::apis::standard::backendtlspolicies::{
    BackendTlsPolicy, BackendTlsPolicyValidation, BackendTlsPolicyValidationSubjectAltNames as AltName,
    BackendTlsPolicyValidationSubjectAltNamesType as AltNameType,
};

use super::{Checker, http_route};
use crate::types::BackendTrafficPolicy;

/// Everything of a BackendTLSPolicy.
pub(super) fn backend_tls(c: &mut Checker, policy: &BackendTlsPolicy) {
    let spec = &policy.spec;
    c.at("spec", |c| {
        c.must_at("targetRefs", !spec.target_refs.is_empty(), "at least one is needed");
        c.at_most("targetRefs", &spec.target_refs, 16);
        c.each("targetRefs", &spec.target_refs, |c, target| {
            c.must_at("kind", !target.kind.is_empty(), "is empty");
            c.must_at("name", !target.name.is_empty(), "is empty");
        });
        c.at("validation", |c| validation(c, &spec.validation));
    });
}

fn validation(c: &mut Checker, validation: &BackendTlsPolicyValidation) {
    let references = validation.ca_certificate_refs.as_deref().unwrap_or_default();
    let well_known = validation.well_known_ca_certificates.as_deref().filter(|name| !name.is_empty());
    let one = references.is_empty() == well_known.is_some();
    c.must(one, "needs either `caCertificateRefs` or `wellKnownCACertificates`");
    c.at_most("caCertificateRefs", references, 8);
    c.each("caCertificateRefs", references, |c, reference| {
        c.must_at("kind", !reference.kind.is_empty(), "is empty");
        c.must_at("name", !reference.name.is_empty(), "is empty");
    });
    c.at("hostname", |c| c.hostname(&validation.hostname, false));
    let names = validation.subject_alt_names.as_deref().unwrap_or_default();
    c.at_most("subjectAltNames", names, 5);
    c.each("subjectAltNames", names, alt_name);
}

/// `type` names the one field that is set.
fn alt_name(c: &mut Checker, name: &AltName) {
    let hostname = name.hostname.as_ref().filter(|text| !text.is_empty());
    let uri = name.uri.as_ref().filter(|text| !text.is_empty());
    let (wanted, other) = match name.r#type {
        AltNameType::Hostname => (("hostname", hostname), ("uri", uri)),
        AltNameType::Uri => (("uri", uri), ("hostname", hostname)),
    };
    c.must_at(wanted.0, wanted.1.is_some(), "is missing: `type` names it");
    c.must_at(other.0, other.1.is_none(), "is not what `type` names");
    c.some("hostname", hostname, |c, hostname| c.hostname(hostname, true));
    c.some("uri", uri, |c, uri| {
        let scheme = uri.split_once(':').map_or("", |(scheme, _)| scheme);
        let starts = scheme.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
        let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        let good = starts && scheme.bytes().all(is_scheme) && uri.len() <= 253;
        c.must(good, format!("`{uri}` is not a URI with its scheme"));
    });
}

/// Everything of an XBackendTrafficPolicy.
pub(super) fn backend_traffic(c: &mut Checker, policy: &BackendTrafficPolicy) {
    let spec = &policy.spec;
    c.at("spec", |c| {
        c.must_at("targetRefs", !spec.target_refs.is_empty(), "at least one is needed");
        c.at_most("targetRefs", &spec.target_refs, 16);
        c.each("targetRefs", &spec.target_refs, |c, target| {
            c.must_at("kind", !target.kind.is_empty(), "is empty");
            c.must_at("name", !target.name.is_empty(), "is empty");
        });
        c.some("retryConstraint", spec.retry_constraint.as_ref(), |c, constraint| {
            c.some("budget", constraint.budget.as_ref(), |c, budget| {
                c.some("percent", budget.percent.as_ref(), |c, percent| c.range(*percent, 0, 100));
                c.some("interval", budget.interval.as_ref(), |c, text| interval(c, text, 1_000, 3_600_000));
            });
            c.some("minRetryRate", constraint.min_retry_rate.as_ref(), |c, rate| {
                c.some("count", rate.count.as_ref(), |c, count| c.range(*count, 1, 1_000_000));
                c.some("interval", rate.interval.as_ref(), |c, text| interval(c, text, 1, 3_600_000));
            });
        });
    });
}

/// A duration from `low` to `high` milliseconds.
fn interval(c: &mut Checker, text: &str, low: i64, high: i64) {
    if let Some(millis) = http_route::duration(c, text) {
        let millis = i64::try_from(millis).unwrap_or(i64::MAX);
        c.must((low..=high).contains(&millis), format!("must be from {low}ms to 1h, not `{text}`"));
    }
}
