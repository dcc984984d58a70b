//! XBackendTrafficPolicy: how much of a Service's load retries may add.

use std::time::Duration;

use gateway_api::experimental::xbackendtrafficpolicies::XBackendTrafficPolicyRetryConstraint;
use model::traffic::RetryBudget;
use objects::types::BackendTrafficPolicy;
use objects::{Entry, Store};

use super::{BackendPolicies, Claims, State, Target, TargetRef};
use crate::report::{self, created};
use crate::status::Reason;

impl BackendPolicies {
    /// Reads all policies, the oldest first. One that is refused keeps what its last good version said;
    /// what counts meanwhile is reported, as the default may retry more than was meant.
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
            let budget = match state.refused {
                None => budget,
                Some(_) => self.budgets.get(&entry.key).copied(),
            };
            for target in state.held() {
                self.services.entry(target.service.clone()).or_default().retry_budget = budget;
            }
            if state.refused.is_some() {
                state.warn_of(budget);
            }
            match budget {
                Some(budget) => self.budgets.insert(entry.key.clone(), budget),
                None => self.budgets.remove(&entry.key),
            };
            self.states.push(state);
        }
        self.budgets.retain(|key, _| store.contains(key));
    }
}

impl State {
    /// Says for each target of a refused policy what counts there.
    fn warn_of(&mut self, last_good: Option<RetryBudget>) {
        let whose = if last_good.is_some() { "last good" } else { "default" };
        let RetryBudget { percent, interval, min_retries, min_interval } = last_good.unwrap_or_default();
        let budget = format!(
            "{percent} % of the requests in {interval:?}, and {min_retries} retries in {min_interval:?} in any case"
        );
        let of_target = |target: &Target| {
            let service = &target.service;
            format!("the policy is refused: {service} has the {whose} retry budget, {budget}")
        };
        let messages: Vec<String> = self.held().map(of_target).collect();
        for message in messages {
            report::warning(&mut self.problems, "spec.retryConstraint", message);
        }
    }

    fn retry_budget(&mut self, object: &XBackendTrafficPolicyRetryConstraint) -> RetryBudget {
        let default = RetryBudget::default();
        let budget = object.budget.as_ref();
        let rate = object.min_retry_rate.as_ref();
        let percent = budget.and_then(|budget| budget.percent).unwrap_or(default.percent.into());
        let percent = self.checked("budget.percent", "from 0 to 100", percent, |percent| *percent <= 100);
        let interval = self.interval("budget.interval", budget.and_then(|budget| budget.interval.as_deref()));
        let count = rate.and_then(|rate| rate.count).unwrap_or(default.min_retries.into());
        let count = self.checked("minRetryRate.count", "from 1 to 1000000", count, |count: &u32| {
            (1..=1_000_000).contains(count)
        });
        let over = self.interval("minRetryRate.interval", rate.and_then(|rate| rate.interval.as_deref()));
        RetryBudget {
            percent: percent.unwrap_or(default.percent),
            interval: interval.unwrap_or(default.interval),
            min_retries: count.unwrap_or(default.min_retries),
            min_interval: over.unwrap_or(default.min_interval),
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
