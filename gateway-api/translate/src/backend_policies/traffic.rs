//! XBackendTrafficPolicy: how much of a Service's load retries may add.

use std::time::Duration;

use gateway_api::experimental::xbackendtrafficpolicies::XBackendTrafficPolicyRetryConstraint;
use model::traffic::RetryBudget;
use objects::types::BackendTrafficPolicy;
use objects::{Entry, Store};

use super::{BackendPolicies, Claims, State, TargetRef};
use crate::report::{self, created};
use crate::status::Reason;

/// `minRetryRate.interval` where the object does not say.
const RATE_INTERVAL: Duration = Duration::from_secs(1);

impl BackendPolicies {
    /// Reads all policies, the oldest first.
    pub(super) fn update_traffic(&mut self, store: &Store, claims: &mut Claims) {
        let mut entries: Vec<&Entry<BackendTrafficPolicy>> =
            store.backend_traffic_policies().iter().collect();
        entries.sort_by_key(|entry| (created(&entry.object.metadata), &entry.key));
        for entry in entries {
            let spec = &entry.object.spec;
            let refs = spec.target_refs.iter().map(|target| TargetRef {
                group: &target.group,
                kind: &target.kind,
                name: &target.name,
                port: None,
            });
            let mut state = State::new(&entry.key, &refs.collect::<Vec<_>>(), store, claims);
            if spec.session_persistence.is_some() {
                report::error(&mut state.problems, "spec.sessionPersistence", "is not supported");
                state.refused = Some(Reason::Invalid);
            }
            let budget = spec.retry_constraint.as_ref().map(|constraint| state.retry_budget(constraint));
            if state.refused.is_none() {
                for target in state.held() {
                    self.services.entry(target.service.clone()).or_default().retry_budget = budget;
                }
            }
            self.states.push(state);
        }
    }
}

impl State {
    fn retry_budget(&mut self, object: &XBackendTrafficPolicyRetryConstraint) -> RetryBudget {
        let default = RetryBudget::default();
        let budget = object.budget.as_ref();
        let rate = object.min_retry_rate.as_ref();
        let percent = budget.and_then(|budget| budget.percent).unwrap_or(default.percent.into());
        let percent = self.checked("budget.percent", "from 0 to 100", percent, |percent| *percent <= 100);
        let interval = self.interval("budget.interval", budget.and_then(|budget| budget.interval.as_deref()));
        let count = rate.and_then(|rate| rate.count).unwrap_or(default.min_per_second.into());
        let count = self.checked("minRetryRate.count", "from 1 to 1000000", count, |count: &u64| {
            (1..=1_000_000).contains(count)
        });
        let over = self.interval("minRetryRate.interval", rate.and_then(|rate| rate.interval.as_deref()));
        let millis = over.unwrap_or(RATE_INTERVAL).as_millis().max(1);
        let per_second = (u128::from(count.unwrap_or_default()) * 1000).div_ceil(millis);
        RetryBudget {
            percent: percent.unwrap_or(default.percent),
            interval: interval.unwrap_or(default.interval),
            min_per_second: u32::try_from(per_second).unwrap_or(u32::MAX),
        }
    }

    /// A number in its range, else the policy is refused.
    fn checked<T: TryFrom<i64>>(
        &mut self,
        field: &str,
        range: &str,
        value: i64,
        fits: impl Fn(&T) -> bool,
    ) -> Option<T> {
        let read = T::try_from(value).ok().filter(fits);
        if read.is_none() {
            self.fault(field, format!("must be {range}, not {value}"));
        }
        read
    }

    /// A GEP-2257 duration that is longer than nothing, else the policy is refused.
    fn interval(&mut self, field: &str, text: Option<&str>) -> Option<Duration> {
        let text = text?;
        let read = report::duration(text);
        if read.is_none() {
            self.fault(field, format!("{text:?} is not a duration like 10s or 1m30s"));
        }
        read
    }

    fn fault(&mut self, field: &str, message: String) {
        report::error(&mut self.problems, format!("spec.retryConstraint.{field}"), message);
        self.refused = Some(Reason::Invalid);
    }
}
