//! Files translated without serving them, for `weir check` and `weir explain PATH`.

use std::collections::HashSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use model::Snapshot;
use objects::{Problem, tell_refused};
use translate::{Options, Translator};

use crate::certificates;
use crate::node as own;

/// What the files come to.
#[derive(Debug)]
pub(crate) struct Offline {
    /// The Snapshot of the objects that are good.
    pub(crate) snapshot: Arc<Snapshot>,
    /// What is wrong with the files and the objects, in order of place.
    pub(crate) problems: Vec<Problem>,
    /// How many objects are good.
    pub(crate) objects: usize,
}

/// Reads and translates `paths` as the node of this name, or as a node that has every pod.
pub(crate) fn load(paths: &[PathBuf], node: Option<&str>, cluster_name: &str) -> Result<Offline> {
    let mut files = config::Files::open(paths)?;
    let loaded = files.load(Instant::now());
    let options = Options {
        cluster_name: cluster_name.to_owned(),
        node: node.map(str::to_owned),
        check_key_pair: tls::check,
        certificate_lapse: certificates::lapse,
        check_authorities: tls::check_authorities,
    };
    let mut translator = Translator::new(options);
    let mut translation = translator.translate(&loaded.store, &HashSet::new(), &[]);
    if node.is_none() {
        let all: HashSet<IpAddr> = translation.snapshot.workloads.keys().copied().collect();
        translation = translator.translate(&loaded.store, &all, &[]);
    }
    let mut problems = translation.problems;
    tell_refused(&mut problems, &loaded.problems);
    problems.extend(loaded.problems);
    problems.extend(own::unknown_name(node, &loaded.store));
    problems.sort();
    problems.dedup();
    Ok(Offline { snapshot: translation.snapshot, problems, objects: loaded.store.count() })
}
