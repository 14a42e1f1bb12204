//! Where a service is, in words for the person who has to mend it.

use std::borrow::Cow;

use aws_config::SdkConfig;

use crate::config::AwsAccess;
use crate::printable::without_password;

/// How names of regions begin that are not of the commercial partition, the domain of hosts there, and that of hosts which
/// have IPv6 too.
const PARTITIONS: &[(&str, &str, &str)] = &[
    ("cn-", "amazonaws.com.cn", "api.amazonwebservices.com.cn"),
    ("us-iso-", "c2s.ic.gov", "api.aws.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov", "api.aws.scloud"),
    ("us-isof-", "csp.hci.ic.gov", "api.aws.hci.ic.gov"),
    ("eu-isoe-", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"),
    ("eusc-", "amazonaws.eu", "api.amazonwebservices.eu"),
];
const COMMERCIAL: (&str, &str, &str) = ("", "amazonaws.com", "api.aws");

/// A service's endpoint, and which setting names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// A URL, or the service and its region.
    name: String,
    advice: String,
    /// What the SDK has to be told.
    url: Option<String>,
    /// AWS itself is meant, wherever it has the service.
    is_aws: bool,
}

impl Endpoint {
    /// Where `service` is asked, as in `AWS_ENDPOINT_URL_S3`; `key` is the setting that may say so.
    pub fn of(service: &str, key: &str, access: &AwsAccess, found: &SdkConfig) -> Self {
        if let Some(url) = &access.endpoint {
            return Self {
                url: Some(url.clone()),
                ..Self::told(url, key)
            };
        }
        let name = service.to_uppercase().replace(' ', "_");
        let variables = [
            format!("AWS_ENDPOINT_URL_{name}"),
            "AWS_ENDPOINT_URL".into(),
        ];
        for variable in variables {
            if let Ok(url) = std::env::var(&variable)
                && !url.is_empty()
            {
                return Self::told(&url, &format!("{variable} of the environment"));
            }
        }
        if let Some(url) = found.endpoint_url() {
            return Self::told(url, "the AWS profile");
        }
        let region = found.region().map_or("an unknown region", AsRef::as_ref);
        Self {
            name: format!("{service} of AWS in {region}"),
            advice: format!(
                "check `region` and this machine's network and name servers, or set {key} for a server of \
                 your own"
            ),
            url: None,
            is_aws: true,
        }
    }

    fn told(url: &str, by: &str) -> Self {
        // The SDK would sign and log a user's name and password with the host.
        let without_user = match without_password(url) {
            Cow::Owned(shown) if shown != url => Some(shown.replacen("…@", "", 1)),
            _ => None,
        };
        let url = without_user.as_deref().unwrap_or(url);
        Self {
            name: url.to_owned(),
            advice: format!("is it running, and reachable from here? {by} says {url}"),
            url: without_user,
            is_aws: false,
        }
    }

    /// The endpoint in words.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The URL, where the SDK has to be told it: it does not find it by itself, or finds it with a
    /// user's name and password.
    pub fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    /// The URL for those who have no SDK crate that finds it; `host` is the service in AWS' names of hosts.
    pub fn address(&self, host: &str, found: &SdkConfig) -> String {
        if !self.is_aws {
            return self.name.clone();
        }
        let region = found.region().map_or("us-east-1", AsRef::as_ref);
        let has_begin = |(begin, ..): &&(&str, &str, &str)| region.starts_with(begin);
        let (_, domain, dual) = PARTITIONS.iter().find(has_begin).unwrap_or(&COMMERCIAL);
        let fips = match found.use_fips() {
            Some(true) => "-fips",
            _ => "",
        };
        match found.use_dual_stack() {
            Some(true) => format!("https://{host}{fips}.{region}.{dual}"),
            _ => format!("https://{host}{fips}.{region}.{domain}"),
        }
    }

    /// What to do when no answer comes from there.
    pub fn advice(&self) -> &str {
        &self.advice
    }

    /// For tests.
    #[cfg(test)]
    pub(crate) fn at(url: &str) -> Self {
        Self::told(url, "`endpoint` of the source")
    }
}

#[cfg(test)]
mod tests {
    use aws_config::Region;

    use super::*;

    #[test]
    fn an_endpoint_is_named_with_the_setting_that_says_so() {
        let found = SdkConfig::builder()
            .region(Region::new("eu-central-1"))
            .build();
        let set = AwsAccess {
            endpoint: Some("http://127.0.0.1:9".into()),
            ..AwsAccess::default()
        };
        let endpoint = Endpoint::of("Nowhere", "`endpoint` of the destination", &set, &found);
        assert_eq!(endpoint.name(), "http://127.0.0.1:9");
        assert_eq!(
            endpoint.advice(),
            "is it running, and reachable from here? `endpoint` of the destination says \
             http://127.0.0.1:9"
        );
        let endpoint = Endpoint::at("https://user:hunter2@lake.example.com");
        assert!(!format!("{endpoint:?}").contains("hunter2"), "{endpoint:?}");
        assert_eq!(endpoint.url(), Some("https://lake.example.com"));
        assert_eq!(Endpoint::at("https://lake.example.com").url(), None);
        let aws = Endpoint::of("Nowhere", "`endpoint`", &AwsAccess::default(), &found);
        assert_eq!(aws.name(), "Nowhere of AWS in eu-central-1");
    }

    #[test]
    fn the_address_is_what_is_told_or_where_aws_has_the_service() {
        let found = |region: &'static str| SdkConfig::builder().region(Region::new(region));
        let address = |found: SdkConfig| {
            Endpoint::of("Nowhere", "`endpoint`", &AwsAccess::default(), &found)
                .address("nowhere", &found)
        };
        for (region, url) in [
            ("eu-central-1", "https://nowhere.eu-central-1.amazonaws.com"),
            (
                "us-gov-west-1",
                "https://nowhere.us-gov-west-1.amazonaws.com",
            ),
            ("cn-north-1", "https://nowhere.cn-north-1.amazonaws.com.cn"),
            (
                "us-isob-east-1",
                "https://nowhere.us-isob-east-1.sc2s.sgov.gov",
            ),
        ] {
            assert_eq!(address(found(region).build()), url);
        }
        let both = found("eu-central-1").use_fips(true).use_dual_stack(true);
        assert_eq!(
            address(both.build()),
            "https://nowhere-fips.eu-central-1.api.aws"
        );
        let told = Endpoint::at("http://user:hunter2@127.0.0.1:9");
        let aws = found("eu-central-1").build();
        assert_eq!(told.address("nowhere", &aws), "http://127.0.0.1:9");
    }
}
