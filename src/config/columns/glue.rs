//! A table of the Glue Data Catalog, whose columns a stream has.

use std::time::Duration;

use crate::config::AwsAccess;

/// How often the table is asked for again, where the config does not say.
pub(super) const REFRESH: Duration = Duration::from_mins(5);

/// A table of the Glue Data Catalog, whose columns those of the stream are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GlueTable {
    /// The database.
    pub database: String,
    /// The table in it.
    pub name: String,
    /// Its version; the newest, whichever that is, when missing.
    pub version: Option<u64>,
    /// How often it is asked for again.
    pub refresh: Duration,
    /// The account that has the catalog; that of the credentials when missing.
    pub catalog_id: Option<String>,
    /// Region; that of the destination when missing.
    pub region: Option<String>,
    /// Endpoint of a compatible service; AWS when missing.
    pub endpoint: Option<String>,
    /// Named profile for credentials; those of the destination when missing.
    pub profile: Option<String>,
}

impl GlueTable {
    /// What tells it from other tables: `web.hits`, with its catalog and its version where the config names them. States
    /// have it: it is never written otherwise.
    pub fn identity(&self) -> String {
        let Self { database, name, .. } = self;
        let mut identity = match &self.catalog_id {
            Some(catalog) => format!("{catalog}:{database}.{name}"),
            None => format!("{database}.{name}"),
        };
        if let Some(version) = self.version {
            identity.push('@');
            identity.push_str(&version.to_string());
        }
        identity
    }

    /// How it is reached, beside a store of the stream that is reached so. An endpoint is of one service.
    pub fn access(&self, store: Option<AwsAccess>) -> AwsAccess {
        let store = store.unwrap_or_default();
        let of_store = |key: Option<String>| key.filter(|_| self.profile.is_none());
        AwsAccess {
            region: self.region.clone().or(store.region),
            endpoint: self.endpoint.clone(),
            profile: self.profile.clone().or(store.profile),
            access_key_id: of_store(store.access_key_id),
            secret_access_key: store.secret_access_key.filter(|_| self.profile.is_none()),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::config::Secret;

    pub(in crate::config::columns) fn table() -> GlueTable {
        GlueTable {
            database: "web".into(),
            name: "hits".into(),
            version: None,
            refresh: REFRESH,
            catalog_id: None,
            region: None,
            endpoint: None,
            profile: None,
        }
    }

    #[test]
    fn a_table_is_told_from_others_by_what_its_columns_hang_on() {
        assert_eq!(table().identity(), "web.hits");
        let other = GlueTable {
            version: Some(3),
            catalog_id: Some("123456789012".into()),
            ..table()
        };
        assert_eq!(other.identity(), "123456789012:web.hits@3");
    }

    #[test]
    fn it_is_reached_as_the_store_is_where_it_does_not_say_otherwise() {
        let store = AwsAccess {
            region: Some("eu-central-1".into()),
            endpoint: Some("http://minio:9000".into()),
            profile: None,
            access_key_id: Some("id".into()),
            secret_access_key: Some(Secret("secret".into())),
        };
        let access = table().access(Some(store.clone()));
        let expected = AwsAccess {
            endpoint: None,
            ..store.clone()
        };
        assert_eq!(access, expected);
        let own = GlueTable {
            region: Some("us-east-1".into()),
            endpoint: Some("http://glue:5000".into()),
            profile: Some("catalog".into()),
            ..table()
        };
        let expected = AwsAccess {
            region: Some("us-east-1".into()),
            endpoint: Some("http://glue:5000".into()),
            profile: Some("catalog".into()),
            ..AwsAccess::default()
        };
        assert_eq!(own.access(Some(store)), expected);
        assert_eq!(table().access(None), AwsAccess::default());
    }
}
