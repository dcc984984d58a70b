//! Label selectors, as endpoint selectors and peers of policies use them.

use std::sync::Arc;

use model::identity::Labels;

/// What a requirement asks of a label.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    /// It is there with one of these values.
    In(Vec<Arc<str>>),
    /// It is not there, or with another value.
    NotIn(Vec<Arc<str>>),
    /// It is there.
    Exists,
    /// It is not there.
    DoesNotExist,
}

/// One condition on one label.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Requirement {
    /// The source the label must come from; `None` (written `any:` or nothing): any.
    pub source: Option<Arc<str>>,
    /// The key without the source.
    pub key: Arc<str>,
    /// What is asked.
    pub operator: Operator,
}

impl Requirement {
    /// Whether a set of labels meets the condition.
    pub fn matches(&self, labels: &Labels) -> bool {
        let value = labels.get(self.source.as_deref(), &self.key);
        match &self.operator {
            Operator::In(values) => value.is_some_and(|v| values.iter().any(|w| **w == *v)),
            Operator::NotIn(values) => !value.is_some_and(|v| values.iter().any(|w| **w == *v)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }
}

/// Conditions that must all hold; none at all selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Selector {
    /// The conditions.
    pub requirements: Vec<Requirement>,
}

impl Selector {
    /// The selector of one reserved label: `reserved:<name>`.
    pub fn reserved(name: &str) -> Self {
        Self::equals(Some("reserved"), name, "")
    }

    /// The selector of one label with one value.
    pub fn equals(source: Option<&str>, key: &str, value: &str) -> Self {
        let operator = Operator::In(vec![value.into()]);
        Self { requirements: vec![Requirement { source: source.map(Into::into), key: key.into(), operator }] }
    }

    /// Whether it selects these labels.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.requirements.iter().all(|requirement| requirement.matches(labels))
    }

    /// Whether it selects everything.
    pub fn is_wildcard(&self) -> bool {
        self.requirements.is_empty()
    }
}

#[cfg(test)]
mod tests;
