//! A request as it will be forwarded: what filters, policies and the Gateway change in its head.
//!
//! As long as nothing but `X-Forwarded-*` changes, the fields stay where they were received and
//! nothing is allocated. The first edit lists them.

use std::borrow::Cow;
use std::sync::Arc;

use codec::h2::text::RequestFields;
use codec::http1::write::{self, InvalidField, RequestEdits};
use codec::http1::{self, FieldSet, Header};
use model::flow::HttpVersion;
use model::request::{HeaderView, HttpRequest};
use model::route::{Filter, HeaderEdits};
use policy::HeaderEdit;
use route::Header as Field;

use crate::grpc;
use crate::parsed::{Headers, Request, view};
use crate::permitted::Judged;
use crate::routed::Route;

const FORWARDED_FOR: &str = "x-forwarded-for";
const FORWARDED_PROTO: &str = "x-forwarded-proto";

/// What a Gateway says of the client's side.
#[derive(Clone, Copy)]
pub(crate) struct Front<'r> {
    /// The client's address as text.
    pub(crate) client: &'r str,
    /// `http` or `https`.
    pub(crate) scheme: &'static str,
}

/// See the module.
pub(crate) struct Forward<'r> {
    request: &'r Request<'r>,
    authority: Option<Arc<str>>,
    target: Option<String>,
    /// Received fields that are left out.
    removed: FieldSet,
    /// `X-Forwarded-For` of a Gateway, while nothing else changes.
    forwarded_for: Option<Cow<'r, [u8]>>,
    /// `X-Forwarded-Proto` that goes with it.
    scheme: &'static str,
    /// All fields that may be edited, once one is.
    fields: Option<Vec<Field<'r>>>,
    /// Names of headers that rules let pass though they want others.
    pub(crate) mismatches: Vec<Arc<str>>,
}

impl<'r> Forward<'r> {
    /// `front`: where this is a Gateway. The client's address is appended to what the client
    /// sent: the last element is ours, those before it are the client's word. `X-Forwarded-Proto`
    /// is replaced.
    pub(crate) fn new(request: &'r Request<'r>, route: Option<Route<'r>>, front: Option<Front<'r>>) -> Self {
        let removed = FieldSet::EMPTY;
        let mut forward = Self {
            request,
            authority: None,
            target: None,
            removed,
            forwarded_for: None,
            scheme: "http",
            fields: None,
            mismatches: Vec::new(),
        };
        if let Some(front) = front {
            forward.scheme = front.scheme;
            forward.append_client(front.client);
        }
        for filter in route.iter().flat_map(Route::filters) {
            match filter {
                Filter::RequestHeaders(edits) => forward.edit(edits),
                Filter::Rewrite(rewrite) => {
                    let matched = route.map(|route| &**route.matched);
                    let done = matched.map(|matched| route::rewrite(rewrite, matched, &request.view()));
                    let done = done.unwrap_or_default();
                    forward.authority = done.authority.or(forward.authority);
                    forward.target = done.target.or(forward.target);
                }
                Filter::ResponseHeaders(_) | Filter::Redirect(_) | Filter::Mirror(_) | Filter::Cors(_) => {}
            }
        }
        forward
    }

    fn append_client(&mut self, client: &'r str) {
        let headers = self.request.head.headers;
        let received = http1::named(headers, FORWARDED_FOR);
        self.removed = received | http1::named(headers, FORWARDED_PROTO);
        let mut value = Cow::Borrowed(client.as_bytes());
        if !received.is_empty() {
            let mut joined = Vec::new();
            for index in received.iter() {
                joined.extend_from_slice(headers[index].value);
                joined.extend_from_slice(b", ");
            }
            joined.extend_from_slice(client.as_bytes());
            value = Cow::Owned(joined);
        }
        self.forwarded_for = Some(value);
    }

    /// Applies a filter's edits.
    fn edit(&mut self, edits: &'r HeaderEdits) {
        route::edit_headers(edits, self.list());
    }

    /// Applies what a policy that allows the request has to say of its headers.
    pub(crate) fn amend(&mut self, judged: &Judged) {
        self.mismatches.extend(judged.mismatches.iter().map(|mismatch| mismatch.wanted.name.clone()));
        for edit in &judged.edits {
            let fields = self.list();
            match edit {
                HeaderEdit::Add(name, value) => fields.push(owned(name, value)),
                HeaderEdit::Set(name, value) => {
                    fields.retain(|field| !field.name.eq_ignore_ascii_case(name));
                    fields.push(owned(name, value));
                }
                HeaderEdit::Remove(name) => fields.retain(|field| !field.name.eq_ignore_ascii_case(name)),
            }
        }
    }

    fn list(&mut self) -> &mut Vec<Field<'r>> {
        let head = &self.request.head;
        let (removed, forwarded_for, scheme) = (&mut self.removed, &mut self.forwarded_for, self.scheme);
        self.fields.get_or_insert_with(|| {
            let (listed, mut fields) = editable(head.headers, head.hop_by_hop | *removed);
            *removed = *removed | listed;
            if let Some(value) = forwarded_for.take() {
                fields.push(Field { name: Cow::Borrowed(FORWARDED_FOR), value });
                fields.push(Field {
                    name: Cow::Borrowed(FORWARDED_PROTO),
                    value: Cow::Borrowed(scheme.as_bytes()),
                });
            }
            fields
        })
    }

    /// Fields that are not as received.
    fn added(&self) -> impl Iterator<Item = (&str, &[u8])> + Clone {
        let forwarded_for = self
            .forwarded_for
            .iter()
            .flat_map(|value| [(FORWARDED_FOR, &**value), (FORWARDED_PROTO, self.scheme.as_bytes())]);
        let listed = self.fields.iter().flatten().map(|field| (&*field.name, &*field.value));
        // What frames or addresses the message is not a filter's to set.
        forwarded_for.chain(listed.filter(|(name, value)| write::is_addable(name, value)))
    }

    /// The view that ingress policy sees.
    pub(crate) fn with_view<T>(&self, see: impl FnOnce(&HttpRequest<'_>) -> T) -> T {
        let head = &self.request.head;
        let omitted = head.hop_by_hop | self.removed;
        let kept = head.headers.iter().enumerate().filter(|(index, _)| !omitted.contains(*index));
        let kept = kept.map(|(_, header)| view(header));
        let added = self.added().map(|(name, value)| HeaderView { name, value });
        let headers = Headers::of(kept.chain(added));
        let received = self.request.view();
        let target = self.target.as_deref().unwrap_or(received.target);
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        let authority = self.authority.as_deref().unwrap_or(received.authority);
        see(&HttpRequest { method: head.method, authority, path, query, target, headers: headers.as_slice() })
    }

    /// Appends the head to send to an endpoint of this version.
    ///
    /// # Errors
    /// A rewrite makes a target or authority that cannot be written: the route is to blame.
    pub(crate) fn write(&self, version: HttpVersion, out: &mut Vec<u8>) -> Result<(), InvalidField> {
        if self.request.is_connect() {
            // Its target is the authority, which says both where to and for whom.
            let edits = RequestEdits { removed: self.removed, ..RequestEdits::default() };
            return write::request(out, &self.request.head, &edits, self.added());
        }
        let target = self.target.as_deref().unwrap_or(self.request.target.target());
        let edits = RequestEdits {
            target: Some(target),
            authority: self.authority.as_deref(),
            removed: self.removed,
        };
        let head = &self.request.head;
        if version == HttpVersion::Http2
            // What HTTP/2 cannot say is known to the stream, which takes text as well.
            && let Ok(fields) = RequestFields::new(head, &edits, self.added(), self.scheme, false)
            && fields.write_list(grpc::is_call(head), out)
        {
            return Ok(());
        }
        write::request(out, head, &edits, self.added())
    }
}

/// The received fields that may be edited, but for those of `omitted`, by position and as a list.
pub(crate) fn editable<'b>(headers: &[Header<'b>], omitted: FieldSet) -> (FieldSet, Vec<Field<'b>>) {
    let mut listed = FieldSet::EMPTY;
    let mut fields = Vec::with_capacity(headers.len() + 4);
    for (index, header) in headers.iter().enumerate() {
        if !omitted.contains(index) && write::is_addable(header.name, header.value) {
            listed.insert(index);
            fields.push(Field { name: Cow::Borrowed(header.name), value: Cow::Borrowed(header.value) });
        }
    }
    (listed, fields)
}

fn owned(name: &str, value: &str) -> Field<'static> {
    Field { name: Cow::Owned(name.to_owned()), value: Cow::Owned(value.as_bytes().to_vec()) }
}

#[cfg(test)]
mod tests;
