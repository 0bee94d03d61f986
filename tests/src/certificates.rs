//! An authority that signs what a test needs, and a client that trusts it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, RevokedCertParams, SerialNumber,
    date_time_ymd,
};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};

/// An authority of a test's own.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
    pem: String,
}

/// A certificate and its key, in files.
#[derive(Clone, Debug)]
pub struct Files {
    /// The certificate's.
    pub chain: PathBuf,
    /// The key's.
    pub key: PathBuf,
    /// The certificate itself.
    pub der: CertificateDer<'static>,
}

impl Authority {
    /// A new one.
    pub fn new() -> anyhow::Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // A name that what it signs has not: else that looks self-signed.
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "an authority of a test's own");
        let key = KeyPair::generate()?;
        let root = params.self_signed(&key)?;
        let (pem, root) = (root.pem(), root.der().clone());
        Ok(Self { issuer: Issuer::new(params, key), root, pem })
    }

    /// Signs a certificate for `hosts` that ends in the year `until`, and writes it and its key to
    /// `dir` under `name`, each file at once, the certificate first.
    pub fn issue(&self, dir: &Path, name: &str, hosts: &[&str], until: i32) -> anyhow::Result<Files> {
        let mut params =
            CertificateParams::new(hosts.iter().map(|&host| host.to_owned()).collect::<Vec<_>>())?;
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let (chain_path, key_path) = (dir.join(format!("{name}.pem")), dir.join(format!("{name}.key")));
        for (path, text) in [(&chain_path, certificate.pem()), (&key_path, key.serialize_pem())] {
            let new = dir.join("new");
            fs::write(&new, text)?;
            fs::rename(&new, path)?;
        }
        Ok(Files { chain: chain_path, key: key_path, der: certificate.der().clone() })
    }

    /// Signs a client's certificate for `name` of the organisational unit `unit`, and writes it and its key to `dir`
    /// under `name`.
    pub fn issue_to(&self, dir: &Path, name: &str, unit: &str) -> anyhow::Result<Files> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.distinguished_name.push(DnType::OrganizationalUnitName, unit);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.serial_number = Some(SerialNumber::from_slice(name.as_bytes()));
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let (chain, key_path) = (dir.join(format!("{name}.pem")), dir.join(format!("{name}.key")));
        fs::write(&chain, certificate.pem())?;
        fs::write(&key_path, key.serialize_pem())?;
        Ok(Files { chain, key: key_path, der: certificate.der().clone() })
    }

    /// Takes back the certificates of the clients that `names` names: the list, in PEM form.
    pub fn revoke(&self, names: &[&str]) -> anyhow::Result<String> {
        let revoked_certs = names.iter().map(|name| RevokedCertParams {
            serial_number: SerialNumber::from_slice(name.as_bytes()),
            revocation_time: date_time_ymd(2025, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2025, 1, 1),
            next_update: date_time_ymd(2090, 1, 1),
            crl_number: SerialNumber::from(u64::try_from(names.len())? + 1),
            issuing_distribution_point: None,
            revoked_certs: revoked_certs.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(list.signed_by(&self.issuer)?.pem()?)
    }

    /// The authority's own certificate, in PEM form.
    pub fn root_pem(&self) -> &str {
        &self.pem
    }

    /// What a client is told that trusts this authority alone, speaks `versions` and asks for `protocols`.
    pub fn client(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        protocols: &[&str],
    ) -> anyhow::Result<Arc<ClientConfig>> {
        let provider: Arc<CryptoProvider> = Arc::new(aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone())?;
        let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions)?;
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Ok(Arc::new(config))
    }
}
