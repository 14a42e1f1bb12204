//! Builds the S3 client from the settings and from what the AWS SDK finds on the machine.

use aws_config::BehaviorVersion;
use aws_config::environment::region::EnvironmentVariableRegionProvider;
use aws_config::imds::region::ImdsRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::region::ProfileFileRegionProvider;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{
    Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation,
};

use super::timeouts;
use crate::config::{S3Settings, Secret};
use crate::destination::PublishError;

/// The region that S3-compatible stores which have none are signed for.
const ANY_REGION: &str = "us-east-1";

/// A client that sends each request once and adds no checksum of its own.
pub(super) async fn client(settings: &S3Settings) -> Result<Client, PublishError> {
    let mut loader =
        aws_config::defaults(BehaviorVersion::latest()).region(region(settings).await?);
    if let Some(profile) = &settings.profile {
        loader = loader.profile_name(profile);
    }
    if let (Some(id), Some(Secret(secret))) = (&settings.access_key_id, &settings.secret_access_key)
    {
        let keys = Credentials::new(id, secret, None, None, "firehose.toml");
        loader = loader.credentials_provider(keys);
    }
    let found = loader.load().await;
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

/// The region: from the settings, the environment, the profile, the machine it runs on. An
/// endpoint of one's own needs none.
async fn region(settings: &S3Settings) -> Result<Region, PublishError> {
    let mut profile = ProfileFileRegionProvider::builder();
    if let Some(name) = &settings.profile {
        profile = profile.profile_name(name);
    }
    let chain = RegionProviderChain::first_try(settings.region.clone().map(Region::new))
        .or_else(EnvironmentVariableRegionProvider::new())
        .or_else(profile.build());
    let chain = match settings.endpoint {
        Some(_) => chain.or_else(ANY_REGION),
        None => chain.or_else(ImdsRegionProvider::builder().build()),
    };
    chain.region().await.ok_or_else(|| PublishError::Permanent {
        cause: format!("no region is known for s3://{}", settings.bucket),
        advice: "set the destination's `region`, or AWS_REGION".into(),
    })
}
