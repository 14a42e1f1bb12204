//! Events in the shapes that people send most, by number: what is optional comes and goes, values are now of this kind
//! and now of that, and from one number on there is more than before.

use serde_json::{Value, json};

/// From this number on events have fields, and values, of which none had the like before.
pub const WIDER: u64 = 120;

/// Events of a shape.
#[derive(Clone, Copy)]
pub struct Shape {
    /// Of the stream.
    pub name: &'static str,
    /// A line of the stream's table.
    pub parse: &'static str,
    /// Records from which the stream learns its columns.
    pub first: u64,
    pub event: fn(u64) -> Value,
    /// Events as a producer sends them.
    pub text: fn(&[Value]) -> String,
    /// What is asked of a row, in SQL, and where it stands in the event. The first tells events apart.
    pub fields: &'static [(&'static str, &'static str)],
    /// What `PyArrow` says where it does not merge columns that were widened.
    pub unmerged: Option<&'static str>,
    /// A field that comes from [`WIDER`] on, where there is nothing more that is new: so much Spark merges.
    pub late: Option<&'static str>,
}

pub const SHAPES: &[Shape] = &[
    Shape {
        name: "github",
        parse: "",
        first: 60,
        event: github,
        text: lines,
        fields: &[
            ("id", "/id"),
            ("\"type\"", "/type"),
            ("actor.id", "/actor/id"),
            ("actor.login", "/actor/login"),
            ("actor.gravatar_id", "/actor/gravatar_id"),
            ("org.login", "/org/login"),
            ("public", "/public"),
            ("payload.push_id", "/payload/push_id"),
            ("payload.ref", "/payload/ref"),
            (
                "if(payload.size = floor(payload.size), payload.size::bigint::varchar, payload.size::varchar)",
                "/payload/size",
            ),
            (
                "payload.commits[1].author.name",
                "/payload/commits/0/author/name",
            ),
            (
                "payload.issue.labels[1].name",
                "/payload/issue/labels/0/name",
            ),
            (
                "payload.issue.assignee.login",
                "/payload/issue/assignee/login",
            ),
            (
                "payload.issue.reactions.total_count",
                "/payload/issue/reactions/total_count",
            ),
            (
                "payload.pull_request.merged",
                "/payload/pull_request/merged",
            ),
            (
                "payload.pull_request.head.repo.full_name",
                "/payload/pull_request/head/repo/full_name",
            ),
            (
                "payload.release.assets[1].size",
                "/payload/release/assets/0/size",
            ),
            (
                "strftime(created_at at time zone 'UTC', '%Y-%m-%dT%H:%M:%SZ')",
                "/created_at",
            ),
        ],
        unmerged: Some("Unable to merge: Field actor"),
        late: None,
    },
    Shape {
        name: "cloudtrail",
        parse: "parse.type = \"cloudtrail\"",
        first: 20,
        event: cloudtrail,
        text: log_files,
        fields: &[
            ("eventID", "/eventID"),
            ("eventName", "/eventName"),
            ("eventVersion", "/eventVersion"),
            ("readOnly", "/readOnly"),
            ("errorCode", "/errorCode"),
            (
                "userIdentity.sessionContext.attributes.mfaAuthenticated",
                "/userIdentity/sessionContext/attributes/mfaAuthenticated",
            ),
            (
                "case when json_valid(requestParameters) then requestParameters ->> '$.bucketName' end",
                "/requestParameters/bucketName",
            ),
            (
                "case when json_valid(requestParameters) then requestParameters ->> '$.instancesSet.items[0].imageId' end",
                "/requestParameters/instancesSet/items/0/imageId",
            ),
            (
                "case when not json_valid(requestParameters) then requestParameters end",
                "/requestParameters",
            ),
            (
                "responseElements.ConsoleLogin",
                "/responseElements/ConsoleLogin",
            ),
            (
                "responseElements.instancesSet.items[1].instanceId",
                "/responseElements/instancesSet/items/0/instanceId",
            ),
            (
                "responseElements.instancesSet.items[1].tagSet.items[1].key",
                "/responseElements/instancesSet/items/0/tagSet/items/0/key",
            ),
            ("resources[1].ARN", "/resources/0/ARN"),
            ("tlsDetails.tlsVersion", "/tlsDetails/tlsVersion"),
            (
                "strftime(eventTime at time zone 'UTC', '%Y-%m-%dT%H:%M:%SZ')",
                "/eventTime",
            ),
        ],
        unmerged: None,
        late: Some("tlsDetails.tlsVersion"),
    },
    Shape {
        name: "flow",
        parse: "parse = { type = \"vpc-flow-log\", fields = [\"version\", \"account-id\", \"interface-id\", \"srcaddr\", \
                \"dstaddr\", \"srcport\", \"dstport\", \"protocol\", \"packets\", \"bytes\", \"start\", \"end\", \"action\", \
                \"log-status\", \"tcp-flags\", \"pkt-dst-aws-service\"] }",
        first: 60,
        event: flow,
        text: flow_lines,
        fields: &[
            ("start", "/start"),
            ("account_id", "/account_id"),
            ("srcaddr", "/srcaddr"),
            ("dstport", "/dstport"),
            ("bytes", "/bytes"),
            ("\"end\"", "/end"),
            ("\"action\"", "/action"),
            ("log_status", "/log_status"),
            ("tcp_flags", "/tcp_flags"),
            ("pkt_dst_aws_service", "/pkt_dst_aws_service"),
        ],
        unmerged: None,
        late: Some("pkt_dst_aws_service"),
    },
    Shape {
        name: "nginx",
        parse: "",
        first: 60,
        event: nginx,
        text: lines,
        fields: &[
            ("request_id", "/request_id"),
            ("remote_user", "/remote_user"),
            ("request", "/request"),
            ("status", "/status"),
            ("body_bytes_sent", "/body_bytes_sent"),
            ("request_time", "/request_time"),
            ("request_length", "/request_length"),
            ("upstream_response_time", "/upstream_response_time"),
            ("http_referer", "/http_referer"),
            ("http_user_agent", "/http_user_agent"),
            ("last_visit", "/last_visit"),
            ("time_local", "/time_local"),
            ("ssl_protocol", "/ssl_protocol"),
            (
                "strftime(time_iso8601 at time zone 'UTC', '%Y-%m-%dT%H:%M:%S+00:00')",
                "/time_iso8601",
            ),
        ],
        unmerged: Some("Unable to merge: Field"),
        late: None,
    },
];

/// One of these, in turn.
fn turn(number: u64, values: &[Value]) -> Value {
    let at = usize::try_from(number).unwrap() % values.len();
    values[at].clone()
}

/// As the public events of GitHub: a payload for each type, with members that are null, empty or not there.
fn github(number: u64) -> Value {
    let odd = number % 2 == 1;
    let (kind, mut payload) = match number % 5 {
        0 => {
            let author = json!({"name": format!("Ada {number}"), "email": "ada@example.org"});
            let commit =
                json!({"sha": "d6fd", "author": author, "message": "é\n\"x\"", "distinct": true});
            let commits = turn(number / 5, &[json!([]), json!([commit])]);
            let payload = json!({"push_id": 30_000_000_000 + number, "size": number % 3, "ref": "refs/heads/main",
                "commits": commits});
            ("PushEvent", payload)
        }
        1 => {
            let labels = if odd {
                json!([{"name": "bug", "color": "d73a4a"}])
            } else {
                json!([])
            };
            // No column can have the names of these.
            let reactions = json!({"total_count": 2, "+1": 1, "-1": 1});
            let issue = json!({"number": number, "title": "It broke", "labels": labels, "milestone": null,
                "assignee": turn(number, &[json!(null), json!({"login": "bob"}), json!({})]),
                "body": turn(number, &[json!(null), json!("2026-11-22")]), "reactions": reactions});
            ("IssuesEvent", json!({"action": "opened", "issue": issue}))
        }
        2 if number >= WIDER => {
            let assets = json!([{"name": "x.tar.gz", "size": 5_000_000_000 + number}]);
            (
                "ReleaseEvent",
                json!({"action": "published", "release": {"tag_name": "v1", "assets": assets}}),
            )
        }
        2 => ("WatchEvent", json!({"action": "started"})),
        3 => {
            let repo = turn(
                number,
                &[
                    json!(null),
                    json!({"full_name": "ada/x", "fork": true, "topics": []}),
                ],
            );
            let pull = json!({"merged": odd, "merged_at": if odd { json!(time(number)) } else { json!(null) },
                "head": {"ref": "fix", "repo": repo}, "requested_reviewers": [], "_links": {"self": {"href": "/"}}});
            (
                "PullRequestEvent",
                json!({"action": "closed", "number": number, "pull_request": pull}),
            )
        }
        _ => {
            let payload = json!({"ref": turn(number, &[json!(null), json!("v1")]), "ref_type": "tag",
                "description": null, "pusher_type": "user"});
            ("CreateEvent", payload)
        }
    };
    if number >= WIDER && kind == "PushEvent" {
        payload["size"] = json!(0.5);
    }
    let actor = if number >= WIDER && odd {
        json!(format!("bot-{number}"))
    } else {
        json!(number % 9)
    };
    let mut event = json!({
        "id": (40_000_000_000 + number).to_string(),
        "type": kind,
        "actor": {"id": actor, "login": "ada", "gravatar_id": ""},
        "repo": {"id": 1_296_269, "name": "ada/x"},
        "payload": payload,
        "public": true,
        "created_at": time(number),
    });
    if number % 4 == 3 {
        event["org"] = json!({"id": 9919, "login": "x"});
    }
    event
}

/// As `CloudTrail`'s: parameters of each API, null, or a text in their place.
fn cloudtrail(number: u64) -> Value {
    let instance = if number >= WIDER {
        json!({"instanceId": format!("i-{number}"), "tagSet": {"items": [{"key": "team", "value": "x"}]}})
    } else {
        json!({"instanceId": format!("i-{number}"), "tagSet": {}})
    };
    let (name, parameters, elements) = match number % 6 {
        0 => (
            "ConsoleLogin",
            json!(null),
            json!({"ConsoleLogin": "Success"}),
        ),
        1 => {
            let parameters = json!({"bucketName": format!("b-{number}"), "Host": ["b.s3.amazonaws.com"], "key": "k"});
            ("GetObject", parameters, json!(null))
        }
        2 => {
            let items = json!([{"imageId": "ami-1", "minCount": 1}]);
            let parameters = json!({"instancesSet": {"items": items}, "tags": [{"key": "a"}]});
            (
                "RunInstances",
                parameters,
                json!({"requestId": "r", "instancesSet": {"items": [instance]}}),
            )
        }
        3 => (
            "TagResource",
            json!({"tags": {"team": "x"}, "bucketName": 7}),
            json!({}),
        ),
        4 => {
            let credentials =
                json!({"accessKeyId": "ASIA", "expiration": "Nov 22, 2026, 11:00:00 AM"});
            (
                "AssumeRole",
                json!({"durationSeconds": 3600}),
                json!({"credentials": credentials}),
            )
        }
        _ => (
            "CreateDBInstance",
            json!("HIDDEN_DUE_TO_SECURITY_REASONS"),
            json!(null),
        ),
    };
    let mut event = json!({
        "eventVersion": "1.08",
        "userIdentity": {"type": "AssumedRole", "accountId": "012345678901"},
        "eventTime": time(number),
        "eventName": name,
        "awsRegion": "eu-central-1",
        "requestParameters": parameters,
        "responseElements": elements,
        "eventID": format!("e-{number}"),
        "readOnly": number % 6 == 1,
    });
    if number.is_multiple_of(3) {
        let attributes = json!({"creationDate": time(number), "mfaAuthenticated": "false"});
        event["userIdentity"]["sessionContext"] =
            json!({"attributes": attributes, "webIdFederationData": {}});
    }
    if number % 6 == 1 {
        let bucket = json!({"accountId": "012345678901", "type": "AWS::S3::Bucket"});
        event["resources"] =
            json!([{"type": "AWS::S3::Object", "ARN": "arn:aws:s3:::b/k"}, bucket]);
    }
    if number % 6 == 5 {
        event["errorCode"] = json!("AccessDenied");
    }
    if number >= WIDER {
        event["tlsDetails"] =
            json!({"tlsVersion": "TLSv1.3", "clientProvidedHostHeader": "b.s3.amazonaws.com"});
        event["eventVersion"] = json!("1.11");
    }
    event
}

/// As a flow log's: no traffic in some minutes, and no service of AWS before there is one.
fn flow(number: u64) -> Value {
    let start = 1_796_000_000 + number;
    let mut event = json!({
        "version": 5, "account_id": "012345678901", "interface_id": "eni-1", "srcaddr": null, "dstaddr": null,
        "srcport": null, "dstport": null, "protocol": null, "packets": null, "bytes": null, "start": start,
        "end": start + 60, "action": null, "log_status": "NODATA", "tcp_flags": null, "pkt_dst_aws_service": null,
    });
    if number % 7 == 6 {
        return event;
    }
    event["srcaddr"] = turn(number, &[json!("10.0.0.1"), json!("2001:db8::1")]);
    event["dstaddr"] = json!("10.0.0.2");
    event["srcport"] = json!(49_152 + number);
    event["dstport"] = turn(number, &[json!(443), json!(53)]);
    event["protocol"] = json!(6);
    event["packets"] = json!(number);
    event["bytes"] = json!(5_000_000_000 * number);
    event["action"] = turn(number, &[json!("ACCEPT"), json!("REJECT")]);
    event["log_status"] = json!("OK");
    event["tcp_flags"] = json!(number % 20);
    if number >= WIDER {
        event["pkt_dst_aws_service"] = json!("S3");
    }
    event
}

/// As nginx writes it with `escape=json`: numbers are texts, and what there is none of is `-` or empty.
fn nginx(number: u64) -> Value {
    let is_late = number >= WIDER;
    let took = format!("0.{:03}", number % 900);
    let mut event = json!({
        "time_iso8601": time(number).replace('Z', "+00:00"),
        "time_local": "22/Nov/2026:10:00:00 +0000",
        "remote_addr": "203.0.113.7",
        "remote_user": turn(number, &[json!(""), json!("ada")]),
        "request": format!("GET /a?q=\"{number}\" HTTP/1.1"),
        "status": turn(number, &[json!("200"), json!("304"), json!("404")]),
        "body_bytes_sent": (number * 17).to_string(),
        "request_time": took,
        "request_length": 300 + number,
        "upstream_response_time": turn(number, &[json!("-"), json!(took)]),
        "http_referer": turn(number, &[json!("-"), json!(""), json!("https://example.org/")]),
        "http_user_agent": "Mozilla/5.0 (é)",
        "last_visit": "2026-11-21",
        "request_id": format!("{number:032x}"),
    });
    if is_late {
        event["upstream_response_time"] = json!("0.004, 0.002");
        event["ssl_protocol"] = json!("TLSv1.3");
        event["request_length"] = json!("-");
        event["last_visit"] = json!("-");
        // Somebody takes the quotes away.
        event["status"] = json!(200);
    }
    event
}

fn time(number: u64) -> String {
    format!("2026-11-22T{:02}:{:02}:07Z", number / 60, number % 60)
}

fn lines(events: &[Value]) -> String {
    let lines = events.iter().map(|event| format!("{event}\n"));
    lines.collect()
}

/// Several events a file, each of which is a record.
fn log_files(events: &[Value]) -> String {
    let files: Vec<Value> = events
        .chunks(3)
        .map(|events| json!({ "Records": events }))
        .collect();
    lines(&files)
}

/// The fields in the order in which the settings name them.
fn flow_lines(events: &[Value]) -> String {
    const FIELDS: [&str; 16] = [
        "version",
        "account_id",
        "interface_id",
        "srcaddr",
        "dstaddr",
        "srcport",
        "dstport",
        "protocol",
        "packets",
        "bytes",
        "start",
        "end",
        "action",
        "log_status",
        "tcp_flags",
        "pkt_dst_aws_service",
    ];
    let line = |event: &Value| {
        let fields = FIELDS.map(|field| match &event[field] {
            Value::Null => "-".to_owned(),
            Value::String(text) => text.clone(),
            number => number.to_string(),
        });
        format!("{}\n", fields.join(" "))
    };
    events.iter().map(line).collect()
}
