//! Builds the S3 client from the settings and from what the AWS SDK finds on the machine.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{RequestChecksumCalculation, ResponseChecksumValidation};

use super::timeouts;
use crate::aws::{self, Endpoint};
use crate::config::StoreSpec as _;
use crate::destination::{PublishError, S3Settings};

/// A client that sends each request once and adds no checksum of its own, and whom it asks.
pub(super) async fn client(settings: &S3Settings) -> Result<(Client, Endpoint), PublishError> {
    let access = settings.access();
    let found = aws::find(&access).await;
    let found = found.ok_or_else(|| PublishError::Permanent {
        cause: format!("no region is known for {}", settings.name()),
        advice: "set the destination's `region`, or AWS_REGION".into(),
    })?;
    let endpoint = Endpoint::of("S3", "`endpoint` of the destination", &access, &found);
    let config = aws::client_config!(aws_sdk_s3, &found, endpoint, timeouts(0))
        .force_path_style(settings.path_style)
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    Ok((Client::from_conf(config.build()), endpoint))
}
