//! What is wrong with the configuration and where: one line for a person.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::object::ObjectKey;

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source {
    /// The file, as the user named it or its folder.
    pub file: Arc<Path>,
    /// The line, from 1; 0 when it is the file as a whole.
    pub line: u32,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line == 0 { Ok(()) } else { write!(f, ":{}", self.line) }
    }
}

/// How bad a [`Problem`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// Something is refused and not in force as written.
    Error,
    /// Nothing is refused, but something has no effect.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// One thing that is wrong. `Display` is one line: `file:line: Kind namespace/name: field: message`
/// without the parts that are not known.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Problem {
    /// Where; `None` for objects that come from the API server.
    pub source: Option<Source>,
    /// The object; `None` when it could not be told.
    pub object: Option<ObjectKey>,
    /// The field: `spec.rules[0].backendRefs[1].port`.
    pub field: Option<String>,
    /// What is wrong and, where it is not obvious, what to write instead.
    pub message: String,
    /// How bad it is.
    pub severity: Severity,
    /// A start-up with this problem must not go on: what it hides may be a policy, and nobody
    /// can tell which pods it closes.
    pub fatal: bool,
}

impl Problem {
    /// An error that is not fatal and names nothing yet.
    pub fn error(message: impl Into<String>) -> Self {
        let message = message.into();
        Self { source: None, object: None, field: None, message, severity: Severity::Error, fatal: false }
    }

    /// A warning that names nothing yet.
    pub fn warning(message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(message) }
    }

    /// Names the place.
    pub fn at(mut self, source: impl Into<Option<Source>>) -> Self {
        self.source = source.into();
        self
    }

    /// Names the object.
    pub fn of(mut self, object: ObjectKey) -> Self {
        self.object = Some(object);
        self
    }

    /// Names the field; an empty path names none.
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into()).filter(|field| !field.is_empty());
        self
    }

    /// Makes it fatal for a start-up.
    pub fn fatal(mut self) -> Self {
        self.fatal = true;
        self
    }
}

/// Where problems say that there is no object of a name and one of that name was `refused`, has them
/// say that, and where.
pub fn tell_refused(problems: &mut [Problem], refused: &[Problem]) {
    let mut places: HashMap<String, &Source> = HashMap::new();
    for problem in refused.iter().filter(|problem| problem.severity == Severity::Error) {
        if let (Some(object), Some(source)) = (&problem.object, &problem.source) {
            places.entry(object.to_string()).or_insert(source);
        }
    }
    for problem in problems {
        let Some(rest) = problem.message.strip_prefix("there is no ") else { continue };
        let mut words = rest.match_indices([' ', ':']).map(|(at, _)| at).chain([rest.len()]);
        // `Kind namespace/name`, or `Kind name`.
        let Some((name, rest)) = words.nth(1).map(|at| rest.split_at(at)) else { continue };
        if let Some(source) = places.get(name) {
            problem.message = format!("{name} was refused, see {source}{rest}");
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(source) = &self.source {
            write!(f, "{source}: ")?;
        }
        if let Some(object) = &self.object {
            write!(f, "{object}: ")?;
        }
        if let Some(field) = &self.field {
            write!(f, "{field}: ")?;
        }
        // A message from a parser may span lines; a problem is one line.
        for (at, line) in self.message.lines().enumerate() {
            if at > 0 {
                f.write_str("; ")?;
            }
            f.write_str(line.trim())?;
        }
        Ok(())
    }
}
