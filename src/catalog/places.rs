//! Which partition of a table a place is: by the names in its folders as Hive writes them (`year=2026/month=11/`), else by
//! their order. The rules are those of Hive, by which Athena and `DuckDB` read such folders.

/// The values of the table's partition keys, in the order of the keys, of what lies at `place`: both are URLs, and
/// `location` is the table's. The error says why the place gives none.
pub fn values(location: &str, keys: &[String], place: &str) -> Result<Vec<String>, String> {
    let below = below(location, place)
        .ok_or_else(|| format!("it lies outside of the table's location {location}"))?;
    let below = below.strip_suffix('/').unwrap_or(below);
    let folders: Vec<&str> = if below.is_empty() {
        Vec::new()
    } else {
        below.split('/').collect()
    };
    if folders.len() != keys.len() {
        return Err(format!(
            "folders below the table's location {location}: {}; partition keys of the table: {}{}",
            folders.len(),
            keys.len(),
            named(keys)
        ));
    }
    let mut values = vec![None; keys.len()];
    for (position, folder) in folders.iter().enumerate() {
        let (index, written) = match folder.split_once('=') {
            None => (position, *folder),
            Some((name, value)) => {
                let is_key = |key: &&String| key.eq_ignore_ascii_case(name);
                let key = keys.iter().find(is_key);
                let index = key.and_then(|found| keys.iter().position(|key| key == found));
                let index = index.ok_or_else(|| {
                    format!("{name} is no partition key of the table{}", named(keys))
                })?;
                if value.contains('=') {
                    // `DuckDB` sees no partition there, and others see different ones.
                    return Err(format!("its folder of {name} has more than one `=`"));
                }
                (index, value)
            }
        };
        let value = unescaped(written);
        let value = value.ok_or_else(|| format!("the value of {} is no text", keys[index]))?;
        if value.is_empty() {
            return Err(format!("the value of {} is empty", keys[index]));
        }
        if values[index].replace(value).is_some() {
            return Err(format!("two of its folders are {}", keys[index]));
        }
    }
    // As many folders as keys, and none twice: each key has its value.
    Ok(values.into_iter().flatten().collect())
}

/// The keys in brackets, if there are any.
fn named(keys: &[String]) -> String {
    if keys.is_empty() {
        String::new()
    } else {
        format!(" ({})", keys.join(", "))
    }
}

/// What of a place is below a location, where it is there. How S3 is named makes no difference.
pub(super) fn below<'p>(location: &str, place: &'p str) -> Option<&'p str> {
    let (scheme, location) = location.split_once("://")?;
    let (of_place, place) = place.split_once("://")?;
    let plain = |scheme: &str| match scheme.to_ascii_lowercase().as_str() {
        "s3a" | "s3n" => "s3".to_owned(),
        scheme => scheme.to_owned(),
    };
    if plain(scheme) != plain(of_place) {
        return None;
    }
    let location = location.strip_suffix('/').unwrap_or(location);
    let rest = place.strip_prefix(location)?;
    rest.strip_prefix('/')
}

/// The value as it was before Hive escaped it: `%` and two digits are a byte, all else stays as it is. `None`: the bytes
/// are no UTF-8.
fn unescaped(written: &str) -> Option<String> {
    let mut value = Vec::with_capacity(written.len());
    let mut rest = written.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if let (b'%', [high, low, after @ ..]) = (first, tail)
            && let (Some(high), Some(low)) = (digit(*high), digit(*low))
        {
            value.push(high << 4 | low);
            rest = after;
        } else {
            value.push(*first);
        }
    }
    String::from_utf8(value).ok()
}

const fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        b'A'..=b'F' => Some(character - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(keys: &[&str], below: &str) -> Result<Vec<String>, String> {
        let keys: Vec<String> = keys.iter().copied().map(str::to_owned).collect();
        values(
            "s3://lake/clicks",
            &keys,
            &format!("s3://lake/clicks/{below}"),
        )
    }

    #[test]
    fn names_in_folders_say_which_value_is_whose_and_else_their_order_does() {
        let date = ["year", "month"];
        for (keys, below, expected) in [
            (&date[..], "year=2026/month=11/", &["2026", "11"][..]),
            (&date, "month=11/year=2026/", &["2026", "11"]),
            (&date, "Year=2026/MONTH=11/", &["2026", "11"]),
            (&date, "2026/11/", &["2026", "11"]),
            (&date, "2026/month=11/", &["2026", "11"]),
            (&date, "year=2026/11/", &["2026", "11"]),
            (&["k"], "k=a%2Fb%3D50%25 %C3%BC/", &["a/b=50% ü"]),
            (&["k"], "a%2fb/", &["a/b"]),
            (&["k"], "k=100%/", &["100%"]),
            (&["k"], "k=%4/", &["%4"]),
            (&["k"], "k=%+1x/", &["%+1x"]),
            (
                &["k"],
                "k=__HIVE_DEFAULT_PARTITION__/",
                &["__HIVE_DEFAULT_PARTITION__"],
            ),
            (&[], "", &[]),
        ] {
            assert_eq!(told(keys, below).unwrap(), expected, "{below}");
        }
    }

    #[test]
    fn a_place_that_gives_no_values_says_why() {
        let date = ["year", "month"];
        for (keys, below, expected) in [
            (
                &date[..],
                "year=2026/",
                "folders below the table's location s3://lake/clicks: 1; partition keys of the table: 2 (year, month)",
            ),
            (
                &[],
                "2026/",
                "folders below the table's location s3://lake/clicks: 1; partition keys of the table: 0",
            ),
            (
                &date,
                "year=2026/day=11/",
                "day is no partition key of the table (year, month)",
            ),
            (&date, "2026/year=2026/", "two of its folders are year"),
            (&["k"], "k=a=b/", "its folder of k has more than one `=`"),
            (&["k"], "k=/", "the value of k is empty"),
            (&["k"], "k=%FF/", "the value of k is no text"),
            (&date, "2026//", "the value of month is empty"),
        ] {
            assert_eq!(told(keys, below).unwrap_err(), expected, "{below}");
        }
    }

    #[test]
    fn a_location_is_the_same_with_and_without_its_last_slash_and_whichever_scheme_names_s3() {
        let keys = ["k".to_owned()];
        for location in [
            "s3://lake/c",
            "s3://lake/c/",
            "s3a://lake/c/",
            "S3N://lake/c",
        ] {
            assert_eq!(values(location, &keys, "s3://lake/c/1/").unwrap(), ["1"]);
        }
        for location in [
            "s3://lake/",
            "s3://lak",
            "s3://lake/d/",
            "gs://lake/c/",
            "lake/c",
        ] {
            let expected = match location {
                "s3://lake/" => "folders below the table's location s3://lake/: 2;",
                _ => "it lies outside of the table's location",
            };
            let why = values(location, &keys, "s3://lake/c/1/").unwrap_err();
            assert!(why.starts_with(expected), "{location}: {why}");
        }
    }

    proptest! {
        #[test]
        fn no_place_is_too_strange_and_values_are_one_for_each_key(
            below in "([a-z=%/.0-9]|year=|month=|%2F){0,24}",
            keys in proptest::collection::vec("[a-z]{1,5}", 0..4),
        ) {
            let place = format!("s3://lake/{below}");
            if let Ok(values) = values("s3://lake", &keys, &place) {
                prop_assert_eq!(values.len(), keys.len());
                prop_assert!(values.iter().all(|value| !value.is_empty()));
            }
        }
    }
}
