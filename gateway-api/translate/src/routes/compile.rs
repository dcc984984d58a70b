//! What reading a route gathers, whatever its kind. All or nothing: a route with a fault in any
//! rule is refused as a whole, so that no rule of it can take what another was meant to.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use model::route::{BackendTarget, ValueMatch};
use objects::route::BackendRef;
use objects::{Kind, ObjectKey};

use super::references::{Reference, Resolution, Unresolved, resolve};
use super::{Context, RouteKind};
use crate::report::{self, Problems};
use crate::tables::Entries;

/// A route as it is in force.
#[derive(Debug)]
pub(super) struct Compiled<T> {
    /// What it was read from.
    pub(super) object: Arc<T>,
    /// What it puts into tables.
    pub(super) entries: Entries,
    /// What it names and what that came to.
    references: Box<[(Reference, Resolution)]>,
}

impl<T> Clone for Compiled<T> {
    fn clone(&self) -> Self {
        let Self { object, entries, references } = self;
        Self { object: object.clone(), entries: entries.clone(), references: references.clone() }
    }
}

impl<T: RouteKind> Compiled<T> {
    /// Reads a route, or says why it is refused.
    pub(super) fn read(key: &ObjectKey, object: &Arc<T>, context: Context<'_>) -> Result<Self, Problems> {
        let mut compiler = Compiler { key, context, problems: Vec::new(), references: Vec::new() };
        let entries = object.compile(&mut compiler);
        let Compiler { problems, references, .. } = compiler;
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self { object: object.clone(), entries, references: references.into() })
    }

    /// Whether all that it names still comes to the same.
    pub(super) fn is_current(&self, key: &ObjectKey, context: Context<'_>) -> bool {
        let mut references = self.references.iter();
        references.all(|(reference, known)| resolve(reference, key, context) == *known)
    }

    /// The Services that it names, there or not.
    pub(super) fn named(&self) -> impl Iterator<Item = ObjectKey> {
        let services = self.references.iter().filter(|(to, _)| to.is_service());
        services.map(|(to, _)| ObjectKey::new(Kind::Service, &to.namespace, &to.name))
    }

    /// The Services that it leads to.
    pub(super) fn services(&self) -> impl Iterator<Item = ObjectKey> {
        let found = self.references.iter().filter(|(_, known)| known.is_ok());
        found.map(|(to, _)| ObjectKey::new(Kind::Service, &to.namespace, &to.name))
    }

    /// The references that lead nowhere.
    pub(super) fn unresolved(&self) -> impl Iterator<Item = (&Reference, &Unresolved)> {
        self.references.iter().filter_map(|(reference, known)| Some((reference, &**known.as_ref().err()?)))
    }
}

/// What is gathered while a route is read.
pub(crate) struct Compiler<'a> {
    /// The route.
    pub(super) key: &'a ObjectKey,
    context: Context<'a>,
    /// Why it is refused, if it is.
    pub(super) problems: Problems,
    references: Vec<(Reference, Resolution)>,
}

impl Compiler<'_> {
    /// The weight and target of one of `backendRefs`; `None` if the route is refused for it.
    pub(super) fn backend(
        &mut self,
        field: String,
        backend: &BackendRef<'_>,
    ) -> Option<(u32, BackendTarget)> {
        let weight = backend.weight.unwrap_or(1);
        let Ok(weight) = u32::try_from(weight) else {
            report::error(&mut self.problems, format!("{field}.weight"), format!("{weight} is negative"));
            return None;
        };
        Some((weight, self.target(field, backend)))
    }

    /// What a reference comes to; an unresolved one does not refuse the route.
    pub(super) fn target(&mut self, field: String, backend: &BackendRef<'_>) -> BackendTarget {
        // What most references say is not kept once for each.
        let kind = backend.kind.filter(|kind| *kind != "Service");
        let namespace = backend.namespace.filter(|namespace| *namespace != &*self.key.namespace);
        let reference = Reference {
            field: field.into(),
            group: backend.group.unwrap_or_default().into(),
            kind: kind.map_or("Service".into(), |kind| kind.to_owned().into()),
            namespace: namespace.map_or_else(|| self.key.namespace.clone(), Arc::from),
            name: backend.name.into(),
            port: backend.port,
        };
        let resolution = resolve(&reference, self.key, self.context);
        let target = match &resolution {
            Ok(id) => BackendTarget::Service(*id),
            Err(unresolved) => BackendTarget::Invalid(unresolved.reason.to_string().into()),
        };
        self.references.push((reference, resolution));
        target
    }

    /// An `Exact` value or a `RegularExpression`.
    pub(super) fn value(&mut self, field: &str, is_regex: bool, value: &str) -> Option<ValueMatch> {
        if is_regex {
            return self.regex(field, value).map(ValueMatch::Regex);
        }
        Some(ValueMatch::Exact(value.into()))
    }

    /// A regular expression that must match the whole.
    pub(super) fn regex(&mut self, field: &str, expression: &str) -> Option<regex::Regex> {
        match route::full_match(expression) {
            Ok(regex) => Some(regex),
            Err(error) => {
                report::error(&mut self.problems, field, format!("not a regular expression: {error}"));
                None
            }
        }
    }

    /// A GEP-2257 duration; zero is no limit.
    pub(super) fn duration(&mut self, field: &str, text: Option<&str>) -> Option<Duration> {
        match gateway_api::Duration::from_str(text?) {
            Ok(duration) => {
                let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
                Some(Duration::from_millis(millis)).filter(|duration| !duration.is_zero())
            }
            Err(error) => {
                let message =
                    format!("{:?} is not a duration like 1h30m or 500ms: {error}", text.unwrap_or_default());
                report::error(&mut self.problems, field, message);
                None
            }
        }
    }
}
