//! What all AWS services share: region and credentials as the settings and the SDK's own search give
//! them, how a client asks, and what a failed request tells.

mod endpoint;
pub mod glue;
pub mod json;
mod request;

use std::error::Error;
use std::fmt::Write as _;
use std::time::Duration;

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::environment::region::EnvironmentVariableRegionProvider;
use aws_config::imds::region::ImdsRegionProvider;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::profile::region::ProfileFileRegionProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::Credentials;
use aws_sdk_s3::config::SharedHttpClient;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;

use crate::config::{AwsAccess, Secret};

pub use endpoint::Endpoint;
pub use request::RequestError;

/// What carries requests to AWS: TLS by rustls and ring, the system's certificates, and a pool of connections. It is of the
/// runtime that it is first used on: whatever is found gets one of its own.
fn http_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https()
}

/// The region that requests are signed for where a compatible service has none.
const ANY_REGION: &str = "us-east-1";

/// What clients are made from, all but the endpoint, which is not that of the service that gives out
/// credentials; `None` when no region is known.
pub async fn find(access: &AwsAccess) -> Option<SdkConfig> {
    let region = region(access).await?;
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http_client())
        .region(region.clone());
    if let Some(profile) = &access.profile {
        // The SDK's own search would prefer keys in the environment to the profile that somebody has named.
        let provider = ProviderConfig::default()
            .with_http_client(http_client())
            .with_region(Some(region));
        let of_profile = ProfileFileCredentialsProvider::builder()
            .configure(&provider)
            .profile_name(profile)
            .build();
        // One that has a region and no credentials leaves those to whatever else there is, such as the machine's role.
        let others = DefaultCredentialsChain::builder()
            .configure(provider)
            .profile_name(profile)
            .build()
            .await;
        let chain =
            CredentialsProviderChain::first_try("Profile", of_profile).or_else("Default", others);
        loader = loader.profile_name(profile).credentials_provider(chain);
    }
    if let (Some(id), Some(Secret(secret))) = (&access.access_key_id, &access.secret_access_key) {
        let keys = Credentials::new(id, secret, None, None, "firehose.toml");
        loader = loader.credentials_provider(keys);
    }
    Some(loader.load().await)
}

/// The region: from the settings, the environment, the profile, the machine it runs on. An
/// endpoint of one's own needs none.
async fn region(access: &AwsAccess) -> Option<Region> {
    let mut profile = ProfileFileRegionProvider::builder();
    if let Some(name) = &access.profile {
        profile = profile.profile_name(name);
    }
    let chain = RegionProviderChain::first_try(access.region.clone().map(Region::new))
        .or_else(EnvironmentVariableRegionProvider::new())
        .or_else(profile.build());
    let chain = if access.endpoint.is_some() {
        chain.or_else(ANY_REGION)
    } else {
        let http = ProviderConfig::default().with_http_client(http_client());
        chain.or_else(ImdsRegionProvider::builder().configure(&http).build())
    };
    chain.region().await
}

/// How long a connection may take, and a request until the last byte of its answer.
pub fn timeouts(connect: Duration, request: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(connect)
        .operation_attempt_timeout(request)
        .build()
}

/// What a client of the SDK crate `$sdk` is built from: it sends each request once, to its endpoint where
/// it has one that the SDK does not find by itself. A macro, because each service has a builder of its own type.
macro_rules! client_config {
    ($sdk:ident, $found:expr, $endpoint:expr, $timeouts:expr) => {{
        let config = $sdk::config::Builder::from($found)
            .retry_config($sdk::config::retry::RetryConfig::disabled())
            .timeout_config($timeouts);
        match $endpoint.url() {
            Some(url) => config.endpoint_url(url),
            None => config,
        }
    }};
}
pub(crate) use client_config;

/// How the errors of the SDK's credential chain begin. Nothing else tells them apart here.
const NO_CREDENTIALS: [&str; 5] = [
    "the credential provider was not enabled",
    "credentials provider timed out",
    "the credentials provider was not properly configured",
    "an error occurred while loading credentials",
    "unexpected credentials error",
];

/// What errors say when no connection came about. Nothing else tells them apart here.
const NO_CONNECTION: [&str; 5] = [
    "client error (Connect)",
    "tcp connect error",
    "connect timeout",
    "Connection refused",
    "failed to lookup address",
];

/// Codes with which the services that speak JSON refuse credentials, and what to mend.
const CREDENTIALS: &[(&str, &str)] = &[
    (
        "UnrecognizedClientException",
        "the service does not know the key: mend the source's `access_key_id` or `profile`",
    ),
    (
        "InvalidClientTokenId",
        "the service does not know the key: mend the source's `access_key_id` or `profile`",
    ),
    (
        "InvalidSignatureException",
        "mend the source's `secret_access_key`, or set this machine's clock",
    ),
    (
        "SignatureDoesNotMatch",
        "mend the source's `secret_access_key`",
    ),
    (
        "IncompleteSignatureException",
        "mend the source's `access_key_id` and `secret_access_key`",
    ),
    (
        "MissingAuthenticationTokenException",
        "give the source credentials: `access_key_id`, `profile`, or the environment",
    ),
    (
        "ExpiredTokenException",
        "the credentials have expired: renew them",
    ),
    ("ExpiredToken", "the credentials have expired: renew them"),
    (
        "OptInRequired",
        "the account is not subscribed to the service",
    ),
];

/// A request that failed, as far as that is the same for all services.
#[derive(Clone, Debug)]
pub struct RequestFailure {
    /// HTTP status; `None` when no answer came.
    pub status: Option<u16>,
    /// The service's error code; empty when it sent none.
    pub code: String,
    /// What was said, in one line.
    pub text: String,
    /// The request was never sent.
    pub unsent: bool,
    /// There was no connection to whoever should answer.
    pub unreached: bool,
}

/// How the text begins where no answer came.
const NO_ANSWER: &str = "no answer";

impl RequestFailure {
    /// Reads the error of a request.
    pub fn of<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let status = error
            .raw_response()
            .map(|response| response.status().as_u16());
        if let Some(service) = error.as_service_error() {
            let code = service.code().unwrap_or_default().to_owned();
            let text = match (status, service.message()) {
                (_, Some(message)) => format!("{code}: {message}"),
                (Some(status), None) => format!("HTTP status {status} {code}"),
                (None, None) => code.clone(),
            };
            return Self {
                status,
                code,
                text: text.trim_end().to_owned(),
                unsent: false,
                unreached: false,
            };
        }
        let mut text = chain(error);
        let uncredited = of_credentials(&text).map(str::to_owned);
        let unsent = matches!(error, SdkError::ConstructionFailure(_)) || uncredited.is_some();
        text = uncredited.unwrap_or(text);
        let unanswered = matches!(
            error,
            SdkError::DispatchFailure(_) | SdkError::TimeoutError(_)
        );
        let unreached =
            unanswered && !unsent && NO_CONNECTION.iter().any(|sign| text.contains(sign));
        if unanswered && !unsent {
            text = format!("{NO_ANSWER}: {}", first_cause(error));
        }
        Self {
            status,
            code: String::new(),
            text,
            unsent,
            unreached,
        }
    }

    /// Reads the error of a request to `endpoint`: where no answer came, it says which endpoint gave none, and where
    /// nobody was reached, what to look at.
    pub fn at<E>(error: &SdkError<E, HttpResponse>, endpoint: &Endpoint) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let mut failure = Self::of(error);
        failure.text = failure.text_at(endpoint);
        if failure.unreached {
            failure.text = format!("{} ({})", failure.text, endpoint.advice());
        }
        failure
    }

    /// What was said, in one line; where no answer came, also which endpoint gave none.
    pub fn text_at(&self, endpoint: &Endpoint) -> String {
        match self.text.strip_prefix(NO_ANSWER) {
            Some(cause) if self.status.is_none() => {
                format!("{NO_ANSWER} from {}{cause}", endpoint.name())
            }
            _ => self.text.clone(),
        }
    }

    /// What to mend where the source's credentials are why a request was refused, or never sent. `endpoint` is the key
    /// of the settings that says where the service is.
    pub fn credentials_advice(&self, endpoint: &str) -> Option<String> {
        if self.unsent {
            return Some(format!(
                "no request could be made: check the source's credentials (`access_key_id`, \
                 `profile`, the environment), `{endpoint}` and `region`"
            ));
        }
        let known = CREDENTIALS.iter().find(|(code, _)| *code == self.code)?;
        Some(known.1.to_owned())
    }

    /// The service refuses the credentials: it does not know them, or they are not what signed the request.
    pub fn refuses_credentials(&self) -> bool {
        CREDENTIALS.iter().any(|(code, _)| *code == self.code)
    }

    /// Whoever answers does not know the operation.
    pub fn lacks_operation(&self) -> bool {
        const UNKNOWN: [&str; 5] = [
            "UnknownOperationException",
            "UnknownOperation",
            "InvalidAction",
            "NotImplemented",
            "NotImplementedException",
        ];
        matches!(self.status, Some(404 | 405 | 501)) || UNKNOWN.contains(&self.code.as_str())
    }

    /// The service says that the request is at fault, so that it is of no use to send it again.
    pub fn blames_request(&self) -> bool {
        self.status
            .is_some_and(|status| matches!(status, 400..=499) && !matches!(status, 408 | 429))
    }
}

/// The part of an error's text that is about credentials: what stands before it says only that a request failed.
fn of_credentials(text: &str) -> Option<&str> {
    let starts = NO_CREDENTIALS.iter().filter_map(|begin| text.find(begin));
    starts.min().and_then(|start| text.get(start..))
}

/// The first line of an error's deepest source. What lies between says only that something went wrong further down.
fn first_cause(error: &dyn Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    let text = deepest.to_string();
    text.lines().next().unwrap_or_default().to_owned()
}

/// An error and its sources in one line; each sentence once. Of an error whose text has several lines, such as the list
/// of all places without credentials, only the first line is taken.
pub fn chain(error: &dyn Error) -> String {
    let first_line = |error: &dyn Error| {
        let text = error.to_string();
        let line = text.lines().next().unwrap_or_default();
        line.trim_end_matches(" Attempted:").to_owned()
    };
    let mut line = first_line(error);
    let mut source = error.source();
    while let Some(error) = source {
        let sentence = first_line(error);
        if !line.contains(&sentence) {
            let _ = write!(line, ": {sentence}");
        }
        source = error.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(status: u16, code: &str) -> RequestFailure {
        RequestFailure {
            status: Some(status),
            code: code.to_owned(),
            text: String::new(),
            unsent: false,
            unreached: false,
        }
    }

    #[test]
    fn advice_on_credentials_is_for_their_codes_and_for_what_was_never_sent() {
        let advice = failure(400, "ExpiredTokenException").credentials_advice("endpoint");
        assert_eq!(
            advice.as_deref(),
            Some("the credentials have expired: renew them")
        );
        let unsent = RequestFailure {
            unsent: true,
            ..failure(400, "")
        };
        let advice = unsent.credentials_advice("dynamodb_endpoint").unwrap();
        assert!(advice.contains("`dynamodb_endpoint`"), "{advice}");
        let other = failure(400, "ValidationException").credentials_advice("endpoint");
        assert_eq!(other, None);
    }

    #[test]
    fn missing_credentials_are_told_without_what_failed_for_want_of_them() {
        let found = "the credential provider was not enabled: no credentials found in chain";
        let text = format!("dispatch failure: other: {found}");
        assert_eq!(of_credentials(&text), Some(found));
        assert_eq!(of_credentials("dispatch failure: other: timed out"), None);
    }

    #[test]
    fn where_no_answer_came_the_text_says_from_where() {
        let endpoint = Endpoint::at("http://127.0.0.1:9");
        let unreached = RequestFailure {
            status: None,
            text: "no answer: Connection refused (os error 111)".into(),
            unreached: true,
            ..failure(0, "")
        };
        assert_eq!(
            unreached.text_at(&endpoint),
            "no answer from http://127.0.0.1:9: Connection refused (os error 111)"
        );
        let answered = RequestFailure {
            text: "no answer".into(),
            ..failure(500, "")
        };
        assert_eq!(answered.text_at(&endpoint), "no answer");
    }

    #[test]
    fn a_request_is_to_blame_unless_it_came_late_or_too_often() {
        let to_blame =
            [399, 400, 408, 429, 499, 500].map(|code| failure(code, "").blames_request());
        assert_eq!(to_blame, [false, true, false, false, true, false]);
    }
}
