//! One YAML document to typed objects, or to what is wrong with them.
//!
//! Nothing is guessed: an unknown field, a wrong type or a value that the API server would refuse
//! refuses the object.

mod refuse;
mod typed;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::Arc;

use objects::check::check;
use objects::{FieldPath, Kind, Object, ObjectKey, Problem, Refused, Segment, Source};

use crate::recall::Text;
use crate::yaml::{Node, Value};

/// The kinds whose name other API groups use too; for all others a wrong group is a mistake.
const COMMON_NAMES: [Kind; 2] = [Kind::Gateway, Kind::Service];

/// What a file says of one object.
#[derive(Debug)]
pub(crate) struct Decoded {
    pub(crate) key: ObjectKey,
    pub(crate) source: Source,
    /// Equal as long as the object says the same, wherever it stands.
    pub(crate) digest: u64,
    /// What the file says, as JSON.
    pub(crate) text: Text,
    pub(crate) outcome: Outcome,
}

impl Decoded {
    /// The same as one that was refused: what was wrong with it may have been left out of its text.
    pub(crate) fn refused(mut self) -> Self {
        let Outcome::Good(_) = self.outcome else { return self };
        let json = serde_json::from_str(&self.text.0).unwrap_or_default();
        let policy = Some(&self.key).filter(|key| key.kind.is_policy());
        self.outcome = Outcome::Bad(policy.map(|key| {
            let (rules, _) = refuse::rules(&Node::from_json(json, self.source.line));
            let message = "refused before".to_owned();
            Box::new(Refused { key: key.clone(), source: Some(self.source.clone()), rules, message })
        }));
        self
    }
}

/// Whether an object can be put in force.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    Good(Object),
    /// It was refused; for a policy, what it closes if no last good version is in force.
    Bad(Option<Box<Refused>>),
}

/// What a file says.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub(crate) objects: Vec<Decoded>,
    pub(crate) problems: Vec<Problem>,
    /// A document could not be told to be one object or another: what the file held before must
    /// stay, for it may be that one.
    pub(crate) unidentified: bool,
}

/// Decodes every document of a file.
pub(crate) fn decode(file: &Arc<Path>, documents: &[Node]) -> Contents {
    let mut reader = Reader { file, contents: Contents::default(), lines: HashMap::new() };
    for document in documents.iter().filter(|document| !document.is_null()) {
        reader.document(document, None);
    }
    reader.contents
}

/// Decodes one object out of [`Decoded::text`]; `None` if it is no object any more.
pub(crate) fn recall(source: &Source, text: &str) -> Option<Decoded> {
    let node = Node::from_json(serde_json::from_str(text).ok()?, source.line);
    decode(&source.file, std::slice::from_ref(&node)).objects.pop()
}

struct Reader<'a> {
    file: &'a Arc<Path>,
    contents: Contents,
    /// Where each object of the file is.
    lines: HashMap<ObjectKey, u32>,
}

/// `apiVersion` and `kind`, which the elements of a typed list (`PodList`) may leave out.
#[derive(Clone, Copy)]
struct TypeMeta<'a> {
    api_version: &'a str,
    kind: &'a str,
}

impl Reader<'_> {
    fn at(&self, line: u32) -> Source {
        Source { file: self.file.clone(), line }
    }

    fn document(&mut self, node: &Node, list: Option<TypeMeta<'_>>) {
        let meta = match type_meta(node, list) {
            Ok(meta) => meta,
            Err((field, message)) => {
                let line = node.get(field).map_or(node.line, |value| value.line);
                let problem = Problem::error(message).at(self.at(line)).field(field);
                let kind = node.get("kind").and_then(Node::as_str);
                let policy = Kind::ALL.iter().copied().any(|k| k.is_policy() && Some(k.as_str()) == kind);
                return self.unidentified(if policy { problem.fatal() } else { problem });
            }
        };
        if let Some(kind) = meta.kind.strip_suffix("List") {
            return self.list(node, TypeMeta { api_version: meta.api_version, kind });
        }
        match kind_of(meta) {
            Ok(Some((kind, known_version))) => self.object(node, kind, known_version),
            Ok(None) => match meant(meta) {
                Some(kind) => self.misspelt(node, meta, kind),
                None => self.unread(node, meta),
            },
            Err(kind) => {
                // The name is Weir's, the group is not: refused under the name it meant.
                self.object(node, kind, false);
            }
        }
    }

    /// `List`, or a list of one kind such as `PodList`.
    fn list(&mut self, node: &Node, element: TypeMeta<'_>) {
        let items = node.get("items").filter(|items| !items.is_null());
        match items.map(|items| &items.value) {
            None => {}
            Some(Value::Sequence(items)) => {
                for item in items {
                    self.document(item, Some(element).filter(|element| !element.kind.is_empty()));
                }
            }
            Some(_) => {
                let line = items.map_or(node.line, |items| items.line);
                self.unidentified(Problem::error("must be a list").at(self.at(line)).field("items"));
            }
        }
    }

    /// A kind that Weir does not read.
    fn unread(&mut self, node: &Node, meta: TypeMeta<'_>) {
        let metadata = node.get("metadata");
        let text = |key| metadata.and_then(|metadata| metadata.get(key)).and_then(Node::as_str);
        let name = text("name").unwrap_or("(without a name)");
        let named = text("namespace").map_or(name.to_owned(), |namespace| format!("{namespace}/{name}"));
        let TypeMeta { api_version, kind } = meta;
        let message =
            format!("{kind} {named}: Weir does not read this kind ({api_version}); it has no effect");
        self.contents.problems.push(Problem::warning(message).at(self.at(node.line)));
    }

    /// No kind at all, but nearly one: taken for an unread one it would be missing unnoticed.
    fn misspelt(&mut self, node: &Node, meta: TypeMeta<'_>, kind: Kind) {
        let line = node.get("kind").map_or(node.line, |value| value.line);
        let message = format!("{} is no kind of {}; did you mean {kind}?", meta.kind, meta.api_version);
        self.unidentified(Problem::error(message).at(self.at(line)).field("kind"));
    }

    fn unidentified(&mut self, problem: Problem) {
        self.contents.unidentified = true;
        self.contents.problems.push(problem);
    }

    fn object(&mut self, node: &Node, kind: Kind, known_version: bool) {
        let key = match key_of(node, kind) {
            Ok(key) => key,
            Err((field, line, message)) => {
                let message = format!("{message}; nobody can tell which {kind} this is");
                let problem = Problem::error(message).at(self.at(line)).field(field);
                let fatal = kind.is_policy();
                return self.unidentified(if fatal { problem.fatal() } else { problem });
            }
        };
        let source = self.at(node.line);
        if let Some(line) = self.lines.get(&key) {
            let message = second(&self.at(*line));
            return self.contents.problems.push(Problem::error(message).at(source).of(key));
        }
        self.lines.insert(key.clone(), node.line);
        let mut faults = Vec::new();
        let json = node.to_json();
        let text = Text(json.to_string());
        let mut hasher = DefaultHasher::new();
        text.0.hash(&mut hasher);
        let digest = hasher.finish();
        let mut object = None;
        if known_version {
            typed::repeated_keys(node, &mut faults);
            object = typed::object(kind, &key, json, node, &mut faults);
            let checked = object.as_ref().map(check).unwrap_or_default();
            faults.extend(checked.into_iter().map(|fault| (fault.field, fault.message)));
        } else {
            let message = format!("Weir reads {kind} of {} only", kind.api_version());
            faults.push((FieldPath::default().key("apiVersion"), message));
        }
        let outcome = match object {
            Some(object) if faults.is_empty() => Outcome::Good(object),
            _ => Outcome::Bad(self.refuse(node, &key, &source, &faults).map(Box::new)),
        };
        for (field, message) in faults {
            let at = self.at(line_of(node, &field));
            self.contents
                .problems
                .push(Problem::error(message).at(at).of(key.clone()).field(field.to_string()));
        }
        self.contents.objects.push(Decoded { key, source, digest, text, outcome });
    }

    /// What a refused policy closes. Adds a fatal problem where that cannot be told.
    fn refuse(
        &mut self,
        node: &Node,
        key: &ObjectKey,
        source: &Source,
        faults: &[(FieldPath, String)],
    ) -> Option<Refused> {
        if !key.kind.is_policy() {
            return None;
        }
        let (rules, unreadable) = refuse::rules(node);
        for field in unreadable {
            let message = "nobody can tell which pods this refused policy is about";
            let at = self.at(line_of(node, &field));
            let problem = Problem::error(message).at(at).of(key.clone()).field(field.to_string());
            self.contents.problems.push(problem.fatal());
        }
        let message =
            faults.first().map(|(field, message)| format!("{field}: {message}")).unwrap_or_default();
        Some(Refused { key: key.clone(), source: Some(source.clone()), rules, message })
    }
}

/// What is said of an object whose name is taken.
pub(crate) fn second(first: &Source) -> String {
    format!("a second object of this name, refused; the first is at {first}")
}

/// `apiVersion` and `kind` of a document, or the field that is wrong.
fn type_meta<'a>(
    node: &'a Node,
    list: Option<TypeMeta<'a>>,
) -> Result<TypeMeta<'a>, (&'static str, &'static str)> {
    if !matches!(node.value, Value::Mapping(_)) {
        return Err(("", "is not a Kubernetes object: a mapping with apiVersion and kind"));
    }
    let text = |field, missing| match node.get(field) {
        None => Err((field, missing)),
        Some(value) => value.as_str().filter(|text| !text.is_empty()).ok_or((field, "must be a string")),
    };
    let missing = "is missing: this is not a Kubernetes object";
    match (list, node.get("kind")) {
        (Some(element), None) => Ok(element),
        _ => Ok(TypeMeta { api_version: text("apiVersion", missing)?, kind: text("kind", missing)? }),
    }
}

/// The kind that a document is of and whether its version is read; `None` for kinds that Weir
/// does not read; an error for a kind that exists, but not in this group.
fn kind_of(meta: TypeMeta<'_>) -> Result<Option<(Kind, bool)>, Kind> {
    let (group, version) = meta.api_version.split_once('/').unwrap_or(("", meta.api_version));
    if let Some(kind) = Kind::find(group, meta.kind) {
        return Ok(Some((kind, kind.versions().contains(&version))));
    }
    let same_name = Kind::ALL.iter().copied().find(|kind| kind.as_str() == meta.kind);
    match same_name {
        Some(kind) if group.is_empty() || !COMMON_NAMES.contains(&kind) => Err(kind),
        _ => Ok(None),
    }
}

/// The kind of this group that an unknown one differs from in case or number only.
fn meant(meta: TypeMeta<'_>) -> Option<Kind> {
    let group = meta.api_version.split_once('/').map_or("", |(group, _)| group);
    let same = |kind: &Kind| {
        let (own, written) = (kind.as_str(), meta.kind);
        let singular = written.strip_suffix(['s', 'S']).unwrap_or(written);
        [written, singular].iter().any(|name| name.eq_ignore_ascii_case(own))
            || written.eq_ignore_ascii_case(kind.plural())
    };
    Kind::ALL.iter().copied().filter(|kind| kind.group() == group).find(same)
}

type KeyError = (&'static str, u32, &'static str);

/// The name of an object, or the field that hides it.
fn key_of(node: &Node, kind: Kind) -> Result<ObjectKey, KeyError> {
    let Some(metadata) = node.get("metadata") else {
        return Err(("metadata", node.line, "is missing"));
    };
    let text = |field| metadata.get(field).filter(|value| !value.is_null());
    let name = match text("name") {
        None => return Err(("metadata.name", metadata.line, "is missing")),
        Some(name) => {
            name.as_str().ok_or(("metadata.name", name.line, "must be a string: put it in quotes"))?
        }
    };
    let namespace = match text("namespace") {
        None => "default",
        Some(namespace) => {
            let message = "must be a string: put it in quotes";
            namespace.as_str().ok_or(("metadata.namespace", namespace.line, message))?
        }
    };
    Ok(ObjectKey::new(kind, namespace, name))
}

/// The line of a field: of its key, or of the nearest thing around it that is there.
fn line_of(node: &Node, path: &FieldPath) -> u32 {
    let mut line = node.line;
    let mut here = node;
    for segment in &path.0 {
        let next = match (segment, &here.value) {
            // Of a key that is there twice, the one that counts is the last.
            (Segment::Key(key), Value::Mapping(entries)) => {
                entries.iter().rev().find(|(k, _)| k.text == *key).map(|(k, value)| (k.line, value))
            }
            (Segment::Index(index), Value::Sequence(items)) => {
                items.get(*index).map(|item| (item.line, item))
            }
            _ => None,
        };
        let Some((at, value)) = next else { break };
        (line, here) = (at, value);
    }
    line
}

#[cfg(test)]
mod tests;
