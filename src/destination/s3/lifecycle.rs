//! Rules of the bucket that give up uploads which nobody completes.

use aws_sdk_s3::types::{ExpirationStatus, LifecycleRule};

use super::S3Bucket;

impl S3Bucket {
    /// See [`crate::destination::Uploads::given_up_after`].
    pub(super) async fn gives_up_uploads_after(&self) -> Option<i32> {
        let request = self.client.get_bucket_lifecycle_configuration();
        let answer = request.bucket(&self.settings.bucket).send().await;
        shortest(&answer.ok()?.rules?)
    }
}

/// The fewest days of all rules that are in force, whatever keys they are for.
fn shortest(rules: &[LifecycleRule]) -> Option<i32> {
    let in_force = rules
        .iter()
        .filter(|rule| rule.status == ExpirationStatus::Enabled);
    let aborts = in_force.filter_map(|rule| rule.abort_incomplete_multipart_upload.as_ref());
    aborts.filter_map(|abort| abort.days_after_initiation).min()
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::types::AbortIncompleteMultipartUpload;

    use super::*;

    #[test]
    fn the_shortest_rule_in_force_counts() {
        let rule = |status, days| {
            let abort = AbortIncompleteMultipartUpload::builder().set_days_after_initiation(days);
            let rule = LifecycleRule::builder().status(status);
            rule.abort_incomplete_multipart_upload(abort.build())
                .build()
                .unwrap()
        };
        let rules = [
            rule(ExpirationStatus::Enabled, Some(7)),
            rule(ExpirationStatus::Enabled, Some(3)),
            rule(ExpirationStatus::Enabled, None),
            rule(ExpirationStatus::Disabled, Some(1)),
        ];
        assert_eq!(shortest(&rules), Some(3));
        assert_eq!(shortest(&rules[2..]), None);
    }
}
