//! Builds the S3 client from the settings and from what the AWS SDK finds on the machine.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{RequestChecksumCalculation, ResponseChecksumValidation};

use super::timeouts;
use crate::aws;
use crate::config::S3Settings;
use crate::destination::PublishError;

/// A client that sends each request once and adds no checksum of its own.
pub(super) async fn client(settings: &S3Settings) -> Result<Client, PublishError> {
    let found = aws::find(&settings.access()).await;
    let found = found.ok_or_else(|| PublishError::Permanent {
        cause: format!("no region is known for s3://{}", settings.bucket),
        advice: "set the destination's `region`, or AWS_REGION".into(),
    })?;
    let mut config = aws_sdk_s3::config::Builder::from(&found)
        .force_path_style(settings.path_style)
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts(0))
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    if let Some(endpoint) = &settings.endpoint {
        config = config.endpoint_url(endpoint);
    }
    Ok(Client::from_conf(config.build()))
}
