//! Generated routes, and the requests that ask for each of them.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Result;

/// Routes beside the one that answers everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Routes {
    /// So many on one host, each with a path of its own that the load does not ask for, in one file.
    Prefixes(u32),
    /// So many, each with a host of its own that the load asks for, a file each.
    Hosts(u32),
    /// So many on one host, told apart by a path that the load asks for, a file each.
    OneHost(u32),
}

impl Routes {
    /// How many.
    pub(crate) fn count(self) -> u32 {
        match self {
            Self::Prefixes(count) | Self::Hosts(count) | Self::OneHost(count) => count,
        }
    }

    /// Writes them into a folder of Weir's objects, for this Gateway.
    pub(crate) fn write(self, folder: &Path, gateway: &str) -> Result<()> {
        let mut together = String::new();
        for number in 1..=self.count() {
            match self {
                Self::Prefixes(_) if gateway == "grpc" => {
                    let _ = write!(together, "---\n{}", grpc_route(number));
                }
                Self::Prefixes(_) => {
                    let _ = write!(together, "---\n{}", self.route(gateway, number, 0));
                }
                Self::Hosts(_) | Self::OneHost(_) => {
                    fs::write(folder.join(file(number)), self.route(gateway, number, 0))?;
                }
            }
        }
        if !together.is_empty() {
            fs::write(folder.join("routes.yaml"), together)?;
        }
        Ok(())
    }

    /// Replaces the file of one route by renaming: its answers say `edit` in [`EDIT`] from then on.
    /// Returns just before rename(2).
    pub(crate) fn edit(self, folder: &Path, number: u32, edit: u32) -> Result<std::time::Instant> {
        // Files that begin with a dot are not read.
        let new = folder.join(".new");
        fs::write(&new, self.route(GATEWAY, number, edit))?;
        let before = std::time::Instant::now();
        fs::rename(new, folder.join(file(number)))?;
        Ok(before)
    }

    fn route(self, gateway: &str, number: u32, edit: u32) -> String {
        let (hosts, matches) = match self {
            Self::Prefixes(_) => {
                (String::new(), format!("path: {{type: PathPrefix, value: /other/{number}}}"))
            }
            Self::Hosts(_) => (
                format!("\n  hostnames: [host-{number}.bench.test]"),
                "path: {type: PathPrefix, value: /public}".to_owned(),
            ),
            Self::OneHost(_) => (
                "\n  hostnames: [one.bench.test]".to_owned(),
                format!("path: {{type: PathPrefix, value: /public/{number}}}"),
            ),
        };
        let service = match (self, gateway) {
            (Self::Prefixes(_), "http1") => "\n  - {group: \"\", kind: Service, name: answers}",
            _ => "",
        };
        let port = if gateway == "http2" { 81 } else { 80 };
        let filter = format!(
            "type: ResponseHeaderModifier, responseHeaderModifier: {{set: [{{name: {EDIT}, value: \"{edit}\"}}]}}"
        );
        let filters = if edit > 0 { format!("\n    filters: [{{{filter}}}]") } else { String::new() };
        format!(
            "apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: other-{number}, namespace: default}}
spec:
  parentRefs:
  - {{name: {gateway}}}{service}{hosts}
  rules:
  - matches: [{{{matches}}}]{filters}
    backendRefs: [{{name: answers, port: {port}}}]
"
        )
    }

    /// Host and path that ask for a route.
    pub(crate) fn request(self, number: u32) -> (String, String) {
        match self {
            Self::Prefixes(_) => ("bench.test".into(), format!("/other/{number}")),
            Self::Hosts(_) => (format!("host-{number}.bench.test"), "/public".into()),
            Self::OneHost(_) => ("one.bench.test".into(), format!("/public/{number}")),
        }
    }

    /// A script for wrk that asks for each of them in turn.
    pub(crate) fn script(self) -> String {
        let (host, path) = match self {
            Self::Hosts(_) => ("\"host-\" .. n .. \".bench.test\"", "\"/public\""),
            _ => ("\"one.bench.test\"", "\"/public/\" .. n"),
        };
        format!(
            "local requests, next = {{}}, 0
function init()
  for n = 1, {count} do
    requests[n] = wrk.format(\"GET\", {path}, {{[\"Host\"] = {host}}})
  end
end
function request()
  next = next % {count} + 1
  return requests[next]
end
",
            count = self.count()
        )
    }
}

fn grpc_route(number: u32) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {{name: other-{number}, namespace: default}}
spec:
  parentRefs:
  - {{name: grpc}}
  rules:
  - matches: [{{method: {{service: bench.Other{number}}}}}]
    backendRefs: [{{name: answers, port: 83}}]
"
    )
}

fn file(number: u32) -> String {
    format!("route-{number}.yaml")
}

/// The header of an answer that says which edit it comes from.
pub(crate) const EDIT: &str = "x-edit";
/// Live edits are made to routes of this Gateway.
const GATEWAY: &str = "http1";

#[cfg(test)]
mod tests;
