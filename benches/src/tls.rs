//! One certificate for every peer: ECDSA P-256, made by openssl, valid for the run.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// Makes `key.pem`, `cert.pem`, both in one (HAProxy's form) and the openssl configuration of the
/// clients in a folder.
pub(crate) fn make(folder: &Path) -> Result<()> {
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]);
    command.args(["-subj", "/CN=bench", "-addext", "subjectAltName=IP:10.77.1.1", "-days", "2"]);
    command.arg("-keyout").arg(folder.join("key.pem")).arg("-out").arg(folder.join("cert.pem"));
    let output = command.output().context("openssl")?;
    ensure!(output.status.success(), "openssl req: {}", String::from_utf8_lossy(&output.stderr));
    let pem = |name: &str| fs::read_to_string(folder.join(name));
    fs::write(folder.join("both.pem"), pem("cert.pem")? + &pem("key.pem")?)?;
    fs::write(folder.join("openssl.cnf"), CLIENT_CONFIGURATION)?;
    Ok(())
}

/// The same as a Secret, for Weir.
pub(crate) fn secret(folder: &Path) -> Result<String> {
    let (key, cert) = (base64(&folder.join("key.pem"))?, base64(&folder.join("cert.pem"))?);
    Ok(format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: bench, namespace: default}}\n\
         type: kubernetes.io/tls\ndata:\n  tls.crt: {cert}\n  tls.key: {key}\n"
    ))
}

fn base64(file: &Path) -> Result<String> {
    let output = Command::new("base64").arg("--wrap=0").arg(file).output().context("base64 (coreutils)")?;
    ensure!(output.status.success(), "base64: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// Makes sure that `openssl s_client` gets a full TLS 1.3 handshake of the kind that is measured.
pub(crate) fn verify(report: &str) -> Result<()> {
    for wanted in [
        "New, TLSv1.3, Cipher is TLS_AES_128_GCM_SHA256",
        "Server Temp Key: X25519",
        "Peer signature type: ECDSA",
    ] {
        ensure!(report.contains(wanted), "the handshake is another: no {wanted:?}");
    }
    Ok(())
}

/// Every client that uses openssl offers the same: X25519, and the cipher that all peers have.
const CLIENT_CONFIGURATION: &str = "openssl_conf = clients
[clients]
ssl_conf = ssl
[ssl]
system_default = all
[all]
MinProtocol = TLSv1.3
Ciphersuites = TLS_AES_128_GCM_SHA256
Groups = X25519
";
