use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};

use super::words;

#[test]
fn failures_are_told_in_words() {
    for (error, told) in [
        (
            Error::InvalidCertificate(CertificateError::UnknownIssuer),
            "none of the authorities signed its certificate",
        ),
        (Error::InvalidCertificate(CertificateError::Expired), "its certificate has expired"),
        (Error::InvalidCertificate(CertificateError::NotValidYet), "its certificate is not valid yet"),
        (Error::InvalidCertificate(CertificateError::NotValidForName), "its certificate is for other names"),
        (Error::InvalidCertificate(CertificateError::BadEncoding), "its certificate cannot be read"),
        (Error::NoCertificatesPresented, "it shows no certificate"),
        (
            Error::AlertReceived(AlertDescription::CertificateRequired),
            "it wants a certificate, and none is configured",
        ),
        (
            Error::AlertReceived(AlertDescription::UnknownCA),
            "it does not accept our certificate (received fatal alert: UnknownCA)",
        ),
        (
            Error::InvalidMessage(InvalidMessage::InvalidContentType),
            "what it sends is no TLS (received corrupt message of type InvalidContentType)",
        ),
        (Error::DecryptError, "cannot decrypt peer's message"),
    ] {
        assert_eq!(words(&error), told);
    }
}
