//! The HTTP client of all that is asked and told over HTTP: the schema registry, webhooks, Alertmanagers.
//!
//! Calls block, and end within their time-out. Proxies are those of the environment: `HTTPS_PROXY`, `HTTP_PROXY`,
//! `ALL_PROXY` and `NO_PROXY`.

use std::time::Duration;

use ureq::tls::{Certificate, ClientCert, RootCerts, TlsConfig};

/// `authorities`: whose signatures are believed instead of those of the public ones. An answer is an answer whatever its
/// status.
pub fn agent(
    authorities: Option<&[Certificate<'static>]>,
    identity: Option<ClientCert>,
    timeout: Duration,
) -> ureq::Agent {
    let roots = authorities.map_or(RootCerts::WebPki, RootCerts::new_with_certs);
    let config = ureq::Agent::config_builder()
        .user_agent(concat!("groundswell/", env!("CARGO_PKG_VERSION")))
        .tls_config(TlsConfig::builder().root_certs(roots).client_cert(identity).build())
        .timeout_global(Some(timeout))
        .http_status_as_error(false)
        // A redirect would carry the credentials to where nobody configured them to go.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .build();
    config.into()
}
