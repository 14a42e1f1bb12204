//! Calls of an AWS service that speaks AWS JSON 1.1 and of which a handful of operations are needed: one POST each, the
//! operation's name in a header, JSON both ways. The SDK's own runtime signs, sends and times it; what this leaves out is
//! the crate that is generated for the service, with a type for everything that it could be asked.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_runtime::auth::SigV4OperationSigningConfig;
use aws_runtime::auth::sigv4::{SCHEME_ID, SigV4AuthScheme};
use aws_runtime::service_clock_skew::ServiceClockSkewInterceptor;
use aws_runtime::user_agent::{ApiMetadata, UserAgentInterceptor};
use aws_smithy_runtime::client::identity::IdentityCache;
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::auth::AuthSchemeOptionResolverParams;
use aws_smithy_runtime_api::client::auth::static_resolver::StaticAuthSchemeOptionResolver;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextMut;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::client::runtime_components::{
    RuntimeComponents, RuntimeComponentsBuilder,
};
use aws_smithy_runtime_api::client::runtime_plugin::{SharedRuntimePlugin, StaticRuntimePlugin};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::{ConfigBag, Layer};
use aws_smithy_types::error::ErrorMetadata;
use aws_types::SigningName;
use aws_types::region::SigningRegion;
use http_body_util::Limited;
use serde_json::Value;

use super::{Endpoint, RequestFailure, find, timeouts};
use crate::config::AwsAccess;

/// How long a connection may take, and a call until the last byte of its answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of an answer. Glue's own bounds are far below it.
const ANSWER_MAX: usize = 64 << 20;

/// Which service is called.
#[derive(Debug)]
pub struct Service {
    /// For people, and in `AWS_ENDPOINT_URL_…`.
    pub name: &'static str,
    /// What stands before the operation in `X-Amz-Target`.
    pub target: &'static str,
    /// Its name in signatures and in AWS' names of hosts.
    pub host: &'static str,
}

/// The Glue Data Catalog.
pub const GLUE: Service = Service {
    name: "Glue",
    target: "AWSGlue",
    host: "glue",
};

/// A client of a service. Each call is sent once: whoever calls tries again. Cheap to clone.
#[derive(Clone, Debug)]
pub struct JsonService {
    service: &'static Service,
    endpoint: Endpoint,
    url: String,
    /// What is the same for all calls: who signs, as whom, by which connections.
    shared: SharedRuntimePlugin,
}

impl JsonService {
    /// A client; `key` is the setting that may name the endpoint. `None` when no region is known.
    pub async fn connect(service: &'static Service, key: &str, access: &AwsAccess) -> Option<Self> {
        let found = find(access).await?;
        let endpoint = Endpoint::of(service.name, key, access, &found);
        Some(Self {
            service,
            url: endpoint.address(service.host, &found),
            endpoint,
            shared: shared(service, &found),
        })
    }

    /// Where it is asked, in words.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Calls an operation, once.
    pub async fn call(&self, operation: &'static str, body: &Value) -> Result<Value, ServiceError> {
        let target = format!("{}.{operation}", self.service.target);
        let call = Operation::builder()
            .service_name(self.service.name)
            .operation_name(operation)
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(&self.url)
            .no_retry()
            .timeout_config(timeouts(CONNECT_TIMEOUT, CALL_TIMEOUT))
            .with_connection_poisoning()
            .runtime_plugin(self.shared.clone())
            .serializer(move |body: String| write(&target, body))
            .deserializer(read)
            .build();
        let answer = call.invoke(body.to_string()).await;
        answer.map_err(|error| ServiceError::of(operation, error, &self.endpoint))
    }
}

/// What is the same for all calls.
fn shared(service: &Service, found: &SdkConfig) -> SharedRuntimePlugin {
    let mut config = Layer::new(service.name);
    config.store_put(AuthSchemeOptionResolverParams::new(()));
    config.store_put(SigV4OperationSigningConfig::default());
    config.store_put(SigningName::from_static(service.host));
    config.store_put(ApiMetadata::new(service.host, env!("CARGO_PKG_VERSION")));
    if let Some(region) = found.region() {
        config.store_put(SigningRegion::from(region.clone()));
    }
    let cache = found.identity_cache();
    let mut components = RuntimeComponentsBuilder::new(service.name)
        .with_http_client(found.http_client())
        .with_sleep_impl(found.sleep_impl())
        .with_time_source(found.time_source())
        .with_identity_cache(Some(cache.unwrap_or_else(|| IdentityCache::lazy().build())))
        .with_auth_scheme(SigV4AuthScheme::new())
        .with_auth_scheme_option_resolver(Some(StaticAuthSchemeOptionResolver::new(vec![
            SCHEME_ID,
        ])))
        .with_interceptor(ServiceClockSkewInterceptor::new())
        .with_interceptor(UserAgentInterceptor::new())
        .with_interceptor(AnswerBound);
    if let Some(credentials) = found.credentials_provider() {
        components.set_identity_resolver(SCHEME_ID, credentials);
    }
    let plugin = StaticRuntimePlugin::new()
        .with_config(config.freeze())
        .with_runtime_components(components);
    SharedRuntimePlugin::new(plugin)
}

fn write(target: &str, body: String) -> Result<HttpRequest, BoxError> {
    let length = body.len();
    let mut request = HttpRequest::new(SdkBody::from(body));
    request.set_method("POST")?;
    let headers = request.headers_mut();
    headers.insert("content-type", "application/x-amz-json-1.1");
    headers.insert("content-length", length.to_string());
    headers.insert("x-amz-target", target.to_owned());
    Ok(request)
}

/// Keeps the runtime, which reads an answer whole, from reading more than there can be.
#[derive(Debug)]
struct AnswerBound;

impl Intercept for AnswerBound {
    fn name(&self) -> &'static str {
        "AnswerBound"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response_mut();
        let body = response.take_body();
        *response.body_mut() = SdkBody::from_body_1_x(Limited::new(body, ANSWER_MAX));
        Ok(())
    }
}

fn read(response: &HttpResponse) -> Result<Value, OrchestratorError<ErrorMetadata>> {
    let body = response.body().bytes().unwrap_or_default();
    if !response.status().is_success() {
        let code = response.headers().get("x-amzn-errortype");
        return Err(OrchestratorError::operation(refusal(code, body)));
    }
    if body.is_empty() {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    serde_json::from_slice(body).map_err(|error| OrchestratorError::response(error.into()))
}

/// What a refusal says: its code stands in a header or in the body, with what is of no use to us around it.
fn refusal(header: Option<&str>, body: &[u8]) -> ErrorMetadata {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |keys: &[&str]| keys.iter().find_map(|key| body.get(key)?.as_str());
    let mut refusal = ErrorMetadata::builder();
    if let Some(code) = header.or_else(|| text(&["__type", "code", "Code"])) {
        let code = code.split(':').next().unwrap_or_default();
        refusal = refusal.code(code.rsplit('#').next().unwrap_or_default());
    }
    if let Some(message) = text(&["message", "Message", "errorMessage"]) {
        refusal = refusal.message(message);
    }
    refusal.build()
}

/// Codes that pass by themselves though their status blames the request.
const PASSING: &[&str] = &[
    "ConcurrentModificationException",
    "ConcurrentRunsExceededException",
    "LimitExceededException",
    "OperationTimeoutException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ResourceNotReadyException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
];

/// Why a call failed.
#[derive(Clone, Debug)]
pub struct ServiceError {
    operation: &'static str,
    /// What is the same for all services: status, code, text.
    pub failure: RequestFailure,
    /// Where no answer came: what to look at.
    unreached: Option<String>,
    source: Arc<SdkError<ErrorMetadata, HttpResponse>>,
}

impl ServiceError {
    fn of(
        operation: &'static str,
        error: SdkError<ErrorMetadata, HttpResponse>,
        endpoint: &Endpoint,
    ) -> Self {
        let mut failure = RequestFailure::of(&error);
        failure.text = failure.text_at(endpoint);
        let unreached = failure.unreached.then(|| endpoint.advice().to_owned());
        Self {
            operation,
            failure,
            unreached,
            source: Arc::new(error),
        }
    }

    /// A refusal with that status and code.
    #[cfg(test)]
    pub(super) fn for_tests(operation: &'static str, status: u16, code: &str) -> Self {
        let text = format!("{code}: no");
        Self {
            operation,
            failure: RequestFailure {
                status: Some(status),
                code: code.to_owned(),
                text,
                unsent: false,
                unreached: false,
            },
            unreached: None,
            source: Arc::new(SdkError::timeout_error("no")),
        }
    }

    /// The service's code, such as `EntityNotFoundException`; empty when it sent none.
    pub fn code(&self) -> &str {
        &self.failure.code
    }

    /// Whether the same call may be answered otherwise later, with nobody doing anything: the service is slow, busy or not
    /// reached. What is left needs a person, or another call.
    pub fn may_pass(&self) -> bool {
        PASSING.contains(&self.code()) || !(self.failure.unsent || self.failure.blames_request())
    }
}

impl fmt::Display for ServiceError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.operation, self.failure.text)?;
        match &self.unreached {
            Some(advice) => write!(formatter, " ({advice})"),
            None => Ok(()),
        }
    }
}

impl Error for ServiceError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}

#[cfg(test)]
mod tests;
