//! Authorities of a test's own and the certificates that they issue: of either kind of key, for DNS
//! names and URIs, and such as are no longer valid.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, PKCS_ECDSA_P256_SHA256,
    PKCS_RSA_SHA256, SanType, date_time_ymd,
};

use crate::certificate::Certificate;
use crate::objects::SEPARATOR;

/// Who signs certificates.
#[derive(Debug)]
pub struct Authority {
    /// The file of its certificate, PEM.
    pub certificate: PathBuf,
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
}

/// What a certificate is to be.
#[derive(Clone, Copy, Debug, Default)]
pub struct Leaf<'a> {
    /// Its alternative names: DNS names, and URIs where there is a colon.
    pub names: &'a [&'a str],
    /// A key of RSA, not of ECDSA P-256.
    pub rsa: bool,
    /// Its time is over.
    pub expired: bool,
    /// How long it is valid for from now on, if not for ages.
    pub lives: Option<Duration>,
}

impl Authority {
    /// Makes one; its files and those of what it issues go into a folder of its name in `folder`.
    pub fn new(folder: &Path, name: &str) -> Self {
        let folder = folder.join(name);
        fs::create_dir_all(&folder).expect("the lab's folder is writable");
        let mut params = named(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key can be made");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority can be made");
        let certificate = folder.join("ca.crt");
        fs::write(&certificate, issuer.pem()).expect("the lab's folder is writable");
        Self { certificate, issuer, folder }
    }

    /// Issues a certificate for DNS names and URIs; the first name is its subject and names its files.
    pub fn issue(&self, names: &[&str]) -> Certificate {
        self.issue_as(Leaf { names, ..Leaf::default() })
    }

    /// The same of another kind. One of a subject replaces the files of the one before.
    pub fn issue_as(&self, leaf: Leaf<'_>) -> Certificate {
        let subject = leaf.names.first().copied().unwrap_or("nobody");
        let mut params = named(subject, leaf.names);
        if leaf.expired {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        }
        if let Some(lives) = leaf.lives {
            params.not_after = (SystemTime::now() + lives).into();
        }
        let algorithm = if leaf.rsa { &PKCS_RSA_SHA256 } else { &PKCS_ECDSA_P256_SHA256 };
        let key = KeyPair::generate_for(algorithm).expect("a key can be made");
        let signed = params.signed_by(&key, &self.issuer).expect("a certificate can be signed");
        let file = |end: &str| self.folder.join(format!("{}.{end}", subject.replace(['*', '/', ':'], "_")));
        let certificate =
            Certificate { name: subject.to_owned(), certificate: file("crt"), key: file("key") };
        fs::write(&certificate.certificate, signed.pem()).expect("the lab's folder is writable");
        fs::write(&certificate.key, key.serialize_pem()).expect("the lab's folder is writable");
        certificate
    }

    /// The ConfigMap `name` in namespace `default` that says whom to believe.
    pub fn config_map(&self, name: &str) -> String {
        let indented: String = self.issuer.pem().lines().map(|line| format!("    {line}\n")).collect();
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: default}}\n\
             data:\n  ca.crt: |\n{indented}{SEPARATOR}"
        )
    }
}

fn named(subject: &str, names: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, subject);
    let name = |name: &&str| match name.contains(':') {
        true => SanType::URI((*name).try_into().expect("it is ASCII")),
        false => SanType::DnsName((*name).try_into().expect("it is ASCII")),
    };
    params.subject_alt_names = names.iter().map(name).collect();
    params
}
