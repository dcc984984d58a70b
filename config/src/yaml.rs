//! YAML to a tree that knows the line of every key and value, read as Kubernetes reads it:
//! `kubectl` takes YAML 1.1 (`on`, `yes`, `0644`), and so does this.

mod scalar;

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};

/// Most values in one file: more than fit into [`crate::MAX_FILE_BYTES`] of real objects.
pub(crate) const MAX_VALUES: usize = 1_000_000;
/// Most values that aliases may add to those that are written out. Text counts, see [`Node::size`].
pub(crate) const MAX_REPEATED: usize = 100_000;
/// Bytes of text that count as one more value.
const TEXT_BYTES: usize = 64;
/// Deepest nesting of lists and mappings.
pub(crate) const MAX_DEPTH: usize = 64;

/// A value and the line it begins on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) line: u32,
    pub(crate) value: Value,
}

/// What a YAML document is made of.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// Null, a boolean, a number or a string.
    Scalar(serde_json::Value),
    /// A list.
    Sequence(Vec<Node>),
    /// A mapping in the order of the file; a key may be there twice.
    Mapping(Vec<(Key, Node)>),
}

/// A key of a mapping and its line.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Key {
    pub(crate) line: u32,
    pub(crate) text: String,
}

/// Why a file is not YAML that this program reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct YamlError {
    pub(crate) line: u32,
    pub(crate) message: String,
}

impl Node {
    /// A tree that was JSON; all of it is on one line.
    pub(crate) fn from_json(json: serde_json::Value, line: u32) -> Self {
        let value = match json {
            serde_json::Value::Array(items) => {
                Value::Sequence(items.into_iter().map(|item| Self::from_json(item, line)).collect())
            }
            serde_json::Value::Object(entries) => {
                let entry = |(text, value)| (Key { line, text }, Self::from_json(value, line));
                Value::Mapping(entries.into_iter().map(entry).collect())
            }
            scalar => Value::Scalar(scalar),
        };
        Self { line, value }
    }

    /// The first value under a key.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|(k, _)| k.text == key).map(|(_, value)| value)
    }

    /// The entries of a mapping; none for other values.
    pub(crate) fn entries(&self) -> &[(Key, Node)] {
        match &self.value {
            Value::Mapping(entries) => entries,
            _ => &[],
        }
    }

    /// The text of a string.
    pub(crate) fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) => scalar.as_str(),
            _ => None,
        }
    }

    /// Whether it is null.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar(serde_json::Value::Null))
    }

    /// The same without lines; of a key that is there twice the last value.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Scalar(scalar) => scalar.clone(),
            Value::Sequence(items) => items.iter().map(Node::to_json).collect(),
            Value::Mapping(entries) => {
                entries.iter().map(|(key, value)| (key.text.clone(), value.to_json())).collect()
            }
        }
    }

    /// What a copy costs: the values in it, and its text.
    fn size(&self) -> usize {
        let text = |text: &str| text.len() / TEXT_BYTES;
        1 + match &self.value {
            Value::Scalar(scalar) => scalar.as_str().map_or(0, text),
            Value::Sequence(items) => items.iter().map(Node::size).sum(),
            Value::Mapping(entries) => {
                entries.iter().map(|(key, value)| text(&key.text) + value.size()).sum()
            }
        }
    }

    fn depth(&self) -> usize {
        1 + match &self.value {
            Value::Scalar(_) => 0,
            Value::Sequence(items) => items.iter().map(Node::depth).max().unwrap_or(0),
            Value::Mapping(entries) => entries.iter().map(|(_, value)| value.depth()).max().unwrap_or(0),
        }
    }
}

/// Every document of a file.
pub(crate) fn parse(text: &str) -> Result<Vec<Node>, YamlError> {
    let mut builder = Builder::default();
    let mut parser = Parser::new_from_str(text);
    while let Some(next) = parser.next_event() {
        let (event, span) = next.map_err(|error| syntax_error(&error))?;
        builder.event(event, line(span))?;
    }
    Ok(builder.documents)
}

fn line(span: Span) -> u32 {
    u32::try_from(span.start.line()).unwrap_or(u32::MAX)
}

fn syntax_error(error: &ScanError) -> YamlError {
    let line = u32::try_from(error.marker().line()).unwrap_or(u32::MAX);
    YamlError { line, message: format!("is not YAML: {}", error.info()) }
}

/// A list or mapping that has begun and not ended.
struct Open {
    line: u32,
    anchor: usize,
    content: Content,
}

enum Content {
    Sequence(Vec<Node>),
    Mapping { entries: Vec<(Key, Node)>, merges: Vec<Node>, key: Option<Pending> },
}

/// A key whose value comes next.
enum Pending {
    Key(Key),
    /// `<<`: the entries of the value that comes next are added.
    Merge,
}

#[derive(Default)]
struct Builder {
    documents: Vec<Node>,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    values: usize,
    repeated: usize,
}

impl Builder {
    fn event(&mut self, event: Event<'_>, line: u32) -> Result<(), YamlError> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => {
                self.anchors.clear();
                Ok(())
            }
            Event::Alias(anchor) => {
                let known = self.anchors.get(&anchor).map(|node| (node.size(), node.depth()));
                let (size, depth) =
                    known.ok_or_else(|| error(line, "an alias inside the value that it names"))?;
                if self.open.len() + depth > MAX_DEPTH {
                    return Err(error(line, too_deep()));
                }
                self.count_repeated(size, line)?;
                self.add(self.anchors[&anchor].clone(), 0)
            }
            Event::Scalar(text, style, anchor, tag) => {
                if style == ScalarStyle::Plain && text == "<<" && tag.is_none() && self.wants_key() {
                    self.set_key(Pending::Merge);
                    return Ok(());
                }
                let tag = core_tag(tag.as_deref(), line)?;
                let scalar = scalar::resolve(&text, style == ScalarStyle::Plain, tag)
                    .map_err(|message| error(line, message))?;
                self.count(1, line)?;
                self.add(Node { line, value: Value::Scalar(scalar) }, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                core_tag(tag.as_deref(), line)?;
                self.begin(line, anchor, Content::Sequence(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                core_tag(tag.as_deref(), line)?;
                let content = Content::Mapping { entries: Vec::new(), merges: Vec::new(), key: None };
                self.begin(line, anchor, content)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
        }
    }

    fn begin(&mut self, line: u32, anchor: usize, content: Content) -> Result<(), YamlError> {
        if self.wants_key() {
            return Err(error(line, "a key must be a plain value, not a list or a mapping"));
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(error(line, too_deep()));
        }
        self.open.push(Open { line, anchor, content });
        self.count(1, line)
    }

    fn end(&mut self) -> Result<(), YamlError> {
        let Some(Open { line, anchor, content }) = self.open.pop() else { return Ok(()) };
        let value = match content {
            Content::Sequence(items) => Value::Sequence(items),
            Content::Mapping { entries, merges, .. } => Value::Mapping(merge(entries, merges)?),
        };
        self.add(Node { line, value }, anchor)
    }

    /// Counts values that are about to be kept.
    fn count(&mut self, values: usize, line: u32) -> Result<(), YamlError> {
        self.values += values;
        if self.values <= MAX_VALUES {
            return Ok(());
        }
        Err(error(line, format!("more than {MAX_VALUES} values in one file")))
    }

    /// Counts values that are about to be copied.
    fn count_repeated(&mut self, size: usize, line: u32) -> Result<(), YamlError> {
        self.repeated += size;
        if self.repeated <= MAX_REPEATED {
            return Ok(());
        }
        Err(error(line, format!("aliases repeat more than {MAX_REPEATED} values in one file")))
    }

    fn wants_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { content: Content::Mapping { key: None, .. }, .. }))
    }

    fn set_key(&mut self, pending: Pending) {
        if let Some(Open { content: Content::Mapping { key, .. }, .. }) = self.open.last_mut() {
            *key = Some(pending);
        }
    }

    /// Puts a finished value where it belongs: a document, an element, a key or a key's value.
    fn add(&mut self, node: Node, anchor: usize) -> Result<(), YamlError> {
        if anchor != 0 {
            self.count_repeated(node.size(), node.line)?;
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut() {
            None => self.documents.push(node),
            Some(Open { content: Content::Sequence(items), .. }) => items.push(node),
            Some(Open { content: Content::Mapping { entries, merges, key }, .. }) => match key.take() {
                None => *key = Some(Pending::Key(to_key(node)?)),
                Some(Pending::Key(key)) => entries.push((key, node)),
                Some(Pending::Merge) => merges.push(node),
            },
        }
        Ok(())
    }
}

/// Keys are strings in Kubernetes; a number or boolean is taken by its text, as `kubectl` does.
fn to_key(node: Node) -> Result<Key, YamlError> {
    let line = node.line;
    let text = match node.value {
        Value::Scalar(serde_json::Value::String(text)) => text,
        Value::Scalar(serde_json::Value::Null) => return Err(error(line, "a key is missing")),
        Value::Scalar(other) => other.to_string(),
        _ => return Err(error(line, "a key must be a plain value, not a list or a mapping")),
    };
    Ok(Key { line, text })
}

/// Adds the entries of `<<` values that the mapping does not have itself.
fn merge(mut entries: Vec<(Key, Node)>, merges: Vec<Node>) -> Result<Vec<(Key, Node)>, YamlError> {
    for node in merges {
        let sources = match node.value {
            Value::Sequence(items) => items,
            value => vec![Node { line: node.line, value }],
        };
        for source in sources {
            let Value::Mapping(added) = source.value else {
                return Err(error(source.line, "`<<` takes a mapping or a list of mappings"));
            };
            for (key, value) in added {
                if !entries.iter().any(|(own, _)| own.text == key.text) {
                    entries.push((key, value));
                }
            }
        }
    }
    Ok(entries)
}

/// The name of a tag of YAML's own (`str` of `!!str`); other tags mean nothing to Kubernetes.
fn core_tag(tag: Option<&Tag>, line: u32) -> Result<Option<&str>, YamlError> {
    match tag {
        None => Ok(None),
        Some(tag) if tag.is_yaml_core_schema() => Ok(Some(&tag.suffix)),
        Some(tag) => Err(error(line, format!("the tag `{tag}` has no meaning in Kubernetes"))),
    }
}

fn too_deep() -> String {
    format!("lists and mappings nest deeper than {MAX_DEPTH}")
}

fn error(line: u32, message: impl Into<String>) -> YamlError {
    YamlError { line, message: message.into() }
}

#[cfg(test)]
mod tests;
