//! Where the engine is, and how to get in.

use std::time::Duration;

use redis::{
    Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisResult,
    TlsCertificates,
};

/// Options of a connection, already checked and defaulted by the embedder.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Which servers.
    pub topology: Topology,
    /// Replaces the one in the address.
    pub username: Option<String>,
    /// Replaces the one in the address.
    pub password: Option<String>,
    /// Needed for `rediss://` only when the certificates are the user's own.
    pub tls: Option<TlsOptions>,
    /// Start of all keys.
    pub prefix: String,
    /// How long a call may take.
    pub command_timeout: Duration,
}

/// Which servers.
#[derive(Clone, Debug)]
pub enum Topology {
    /// One server.
    Single(String),
    /// A cluster, by some of its servers.
    Cluster(Vec<String>),
    /// A master that sentinels know.
    Sentinel {
        /// Addresses of sentinels.
        urls: Vec<String>,
        /// The name of the master.
        master: String,
        /// For the sentinels.
        username: Option<String>,
        /// For the sentinels.
        password: Option<String>,
    },
}

/// Certificates in PEM.
#[derive(Clone, Debug, Default)]
pub struct TlsOptions {
    /// Certificates to trust instead of the system's.
    pub ca: Option<String>,
    /// The client's certificate.
    pub cert: Option<String>,
    /// The client's key.
    pub key: Option<String>,
    /// Whether any certificate will do.
    pub accepts_any_certificate: bool,
}

/// An address is none. The text shows no password.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InvalidOptions(String);

impl EngineOptions {
    /// Refuses what can never work.
    ///
    /// # Errors
    /// An address is not of the form `redis://`, `rediss://` or `redis+unix://`.
    pub fn check(&self) -> Result<(), InvalidOptions> {
        for url in self.urls() {
            self.client(url)
                .map_err(|_| InvalidOptions(format!("{} is no address", shown(url))))?;
        }
        Ok(())
    }

    /// The addresses as people are shown them.
    #[must_use]
    pub fn address(&self) -> String {
        self.urls().iter().map(|url| shown(url)).collect::<Vec<_>>().join(", ")
    }

    pub(crate) fn urls(&self) -> &[String] {
        match &self.topology {
            Topology::Single(url) => std::slice::from_ref(url),
            Topology::Cluster(urls) | Topology::Sentinel { urls, .. } => urls,
        }
    }

    /// A client of the server with this address.
    pub(crate) fn client(&self, url: &str) -> RedisResult<Client> {
        self.client_with(info_of(url)?, self.username.as_deref(), self.password.as_deref())
    }

    /// A client of a sentinel, which has a login of its own.
    pub(crate) fn sentinel_client(&self, url: &str) -> RedisResult<Client> {
        let Topology::Sentinel { username, password, .. } = &self.topology else {
            return self.client(url);
        };
        self.client_with(info_of(url)?, username.as_deref(), password.as_deref())
    }

    /// A client of another server that is reached like the one with this address. A host that its
    /// server does not know, since nobody has told it, is the same host.
    pub(crate) fn sibling_client(&self, url: &str, host: &str, port: u16) -> RedisResult<Client> {
        let info = info_of(url)?;
        let host = match info.addr() {
            ConnectionAddr::Tcp(same, _) | ConnectionAddr::TcpTls { host: same, .. }
                if matches!(host, "" | "?") =>
            {
                same.clone()
            }
            _ => host.to_owned(),
        };
        let addr = match info.addr() {
            ConnectionAddr::TcpTls { insecure, tls_params, .. } => ConnectionAddr::TcpTls {
                host,
                port,
                insecure: *insecure,
                tls_params: tls_params.clone(),
            },
            _ => ConnectionAddr::Tcp(host, port),
        };
        let info = info.set_addr(addr);
        self.client_with(info, self.username.as_deref(), self.password.as_deref())
    }

    fn client_with(
        &self,
        info: ConnectionInfo,
        username: Option<&str>,
        password: Option<&str>,
    ) -> RedisResult<Client> {
        let mut settings = info.redis_settings().clone().set_skip_set_lib_name();
        if let Some(username) = username {
            settings = settings.set_username(username);
        }
        if let Some(password) = password {
            settings = settings.set_password(password);
        }
        let mut info = info.set_redis_settings(settings);
        let (ConnectionAddr::TcpTls { host, port, .. }, Some(tls)) =
            (info.addr().clone(), &self.tls)
        else {
            return Client::open(info);
        };
        info = info.set_addr(ConnectionAddr::TcpTls {
            host,
            port,
            insecure: tls.accepts_any_certificate,
            tls_params: None,
        });
        let client_tls = match (&tls.cert, &tls.key) {
            (Some(cert), Some(key)) => Some(ClientTlsConfig {
                client_cert: cert.clone().into_bytes(),
                client_key: key.clone().into_bytes(),
            }),
            _ => None,
        };
        let root_cert = tls.ca.clone().map(String::into_bytes);
        Client::build_with_tls(info, TlsCertificates { client_tls, root_cert })
    }
}

fn info_of(url: &str) -> RedisResult<ConnectionInfo> {
    url.into_connection_info()
}

/// An address without what is secret in it.
fn shown(url: &str) -> String {
    match info_of(url) {
        Ok(info) => info.addr().to_string(),
        // Whatever stands before the last `@` may be a password.
        Err(_) => url.rsplit('@').next().unwrap_or_default().to_owned(),
    }
}
