//! Certificates that openssl makes for a test, each its own authority.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::namespace::run;
use crate::objects::SEPARATOR;

/// A certificate for one DNS name and its key.
#[derive(Debug)]
pub struct Certificate {
    /// Its name, of the subject and of the subjectAltName.
    pub name: String,
    /// The file of the certificate, PEM.
    pub certificate: PathBuf,
    /// The file of the private key, PEM.
    pub key: PathBuf,
}

impl Certificate {
    /// Makes one; its files go into `folder`.
    pub fn new(folder: &Path, name: &str) -> Self {
        let (certificate, key) = (folder.join(format!("{name}.crt")), folder.join(format!("{name}.key")));
        run(Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
            .args(["-days", "2", "-subj", &format!("/CN={name}")])
            .args(["-addext", &format!("subjectAltName=DNS:{name}"), "-keyout"])
            .arg(&key)
            .arg("-out")
            .arg(&certificate))
        .expect("openssl makes a certificate");
        Self { name: name.to_owned(), certificate, key }
    }

    /// The Secret `secret` of type `kubernetes.io/tls` in namespace `default`.
    pub fn secret(&self, secret: &str) -> String {
        let indented = |path: &Path| {
            let text = fs::read_to_string(path).expect("openssl wrote it");
            text.lines().map(|line| format!("    {line}\n")).collect::<String>()
        };
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: {secret}, namespace: default}}\n\
             type: kubernetes.io/tls\nstringData:\n  tls.crt: |\n{}  tls.key: |\n{}{SEPARATOR}",
            indented(&self.certificate),
            indented(&self.key)
        )
    }
}
