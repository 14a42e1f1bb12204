//! Pages of others in a real browser, against a daemon on the machine of whoever looks at them.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use crate::support::browser::visit;
use crate::support::daemon::{Site, wait_until};
use crate::support::http::get;

/// Time of a page's own that it has: less than the five seconds after which the status page loads itself anew.
const TIME: Duration = Duration::from_secs(4);

/// Tries all that a page can do to `?to=`, and tells what of it could be read.
const PAGE: &str = r#"<!doctype html><title>a page</title><p id=told>nothing</p>
<form id=form method=post enctype=text/plain target=inner><input name='{"form":"' value='"}'></form>
<iframe name=inner></iframe><script>
const to = new URLSearchParams(location.search).get('to'), put = to + '/streams/clicks/records';
const line = '{"by":"page"}\n', told = [];
const ask = (what, path, how) => fetch(path, how).then(answer => answer.text())
  .then(text => told.push(what + ' ' + text.length + ' bytes ' + text.slice(0, 60)), () => told.push(what + ' failed'));
const load = (kind, path) => new Promise(done => {
  const it = document.createElement(kind);
  it.onload = it.onerror = done;
  it.src = to + path;
  document.body.append(it);
});
form.action = put;
form.submit();
navigator.sendBeacon(put, line);
Promise.all([
  ask('text', put, {method: 'POST', mode: 'no-cors', body: line}),
  ask('cors', put, {method: 'POST', body: line}),
  ask('json', put, {method: 'POST', headers: {'content-type': 'application/json'}, body: line}),
  ask('api', to + '/', {method: 'POST', headers: {'x-amz-target': 'Firehose_20150804.ListDeliveryStreams'}, body: '{}'}),
  ask('hidden', put, {method: 'POST', mode: 'no-cors', referrerPolicy: 'no-referrer', body: line}),
  ask('read', to + '/streams/clicks', {mode: 'no-cors'}),
  ask('metrics', to + '/metrics', {}),
  load('img', '/metrics'), load('script', '/readyz'), load('iframe', '/'),
]).then(() => document.getElementById('told').textContent = told.join('; '));
</script>"#;

/// Follows a link to `?to=`.
const LINK: &str = "<!doctype html><a id=it>status</a><script>\
    it.href = new URLSearchParams(location.search).get('to'); it.click()</script>";

/// Stands before the daemon: what a page of the same host and port would be, were its name made to lead here.
struct Relay {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// A request that the daemon was asked by a browser, and the answer.
#[derive(Clone, Debug)]
struct Seen {
    request: String,
    answer: String,
}

impl Seen {
    fn status(&self) -> &str {
        self.answer.split(' ').nth(1).unwrap_or("none")
    }

    /// The line of the request, and the headers that tell whose it is.
    fn summary(&self) -> String {
        let mut lines = self.request.lines();
        let mut summary = lines
            .next()
            .unwrap_or_default()
            .trim_end_matches(" HTTP/1.1")
            .to_owned();
        for line in lines {
            let lower = line.to_ascii_lowercase();
            if [
                "host:",
                "origin:",
                "sec-fetch-site:",
                "sec-fetch-mode:",
                "sec-fetch-dest:",
            ]
            .iter()
            .any(|name| lower.starts_with(name))
            {
                summary.push_str(" | ");
                summary.push_str(line);
            }
        }
        summary
    }
}

impl Relay {
    fn start(daemon: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let told = Arc::clone(&seen);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let told = Arc::clone(&told);
                std::thread::spawn(move || relay(client, daemon, &told));
            }
        });
        Self { address, seen }
    }

    fn port(&self) -> u16 {
        self.address.port()
    }

    /// What the daemon was asked since the last time.
    fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

/// One request a connection: each answer says that there will be no other.
fn relay(mut client: TcpStream, daemon: SocketAddr, told: &Mutex<Vec<Seen>>) {
    let Some(request) = read_request(&mut client) else {
        return;
    };
    let line = String::from_utf8_lossy(&request);
    let page = match line.split(['?', ' ']).nth(1) {
        Some("/page") => Some(PAGE),
        Some("/link") => Some(LINK),
        Some("/favicon.ico") => Some(""),
        _ => None,
    };
    let answer = if let Some(page) = page {
        let length = page.len();
        let head =
            "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\ncontent-length:";
        format!("{head} {length}\r\n\r\n{page}").into_bytes()
    } else {
        let mut asked = TcpStream::connect(daemon).unwrap();
        let head = String::from_utf8_lossy(&request).into_owned();
        let once = head.replacen("Connection: keep-alive", "Connection: close", 1);
        asked.write_all(once.as_bytes()).unwrap();
        let mut answer = Vec::new();
        let _ = asked.read_to_end(&mut answer);
        told.lock().unwrap().push(Seen {
            request: head,
            answer: String::from_utf8_lossy(&answer).into_owned(),
        });
        answer
    };
    let _ = client.write_all(&answer);
    let _ = client.shutdown(Shutdown::Write);
}

/// A head and the body that it announces.
fn read_request(client: &mut TcpStream) -> Option<Vec<u8>> {
    let mut request = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length")
                    .then(|| value.trim().parse::<usize>().ok())?
            });
            if body.len() >= length.unwrap_or(0) {
                return Some(request);
            }
        }
        let mut piece = [0; 4096];
        match client.read(&mut piece) {
            Ok(bytes) if bytes > 0 => request.extend_from_slice(&piece[..bytes]),
            _ => return None,
        }
    }
}

fn site(hosts: &str) -> Site {
    let site = Site::new(
        "[stream.clicks.source]\ntype = \"direct-put\"\n\
         [stream.clicks.destination]\ntype = \"folder\"\npath = \"lake\"\n",
    );
    let file = site.path("firehose.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{text}hosts = [{hosts}]\n")).unwrap();
    site
}

fn accepted(site: &Site) -> u64 {
    let account = get(site.address, "/streams/clicks").unwrap().text();
    let account: Value = serde_json::from_str(&account).unwrap();
    account["records"]["accepted"].as_u64().unwrap()
}

/// What a page says that it could read.
fn told(document: &str) -> &str {
    let (_, told) = document.split_once("<p id=\"told\">").expect(document);
    told.split_once("</p>").unwrap().0
}

#[test]
fn no_page_of_another_origin_writes_or_reads_in_a_real_browser() {
    let site = site("");
    let daemon = site.start();
    let (pages, target) = (Relay::start(site.address), Relay::start(site.address));
    let (from, to) = (pages.port(), target.port());
    for (what, page, to, asked_least) in [
        (
            "another site",
            format!("http://evil.example:{from}"),
            format!("http://127.0.0.1:{to}"),
            10,
        ),
        (
            "another port",
            format!("http://127.0.0.1:{from}"),
            format!("http://127.0.0.1:{to}"),
            10,
        ),
        (
            "another port of localhost",
            format!("http://localhost:{from}"),
            format!("http://localhost:{to}"),
            10,
        ),
        (
            "this machine by another name",
            format!("http://localhost:{to}"),
            format!("http://127.0.0.1:{to}"),
            10,
        ),
        (
            "a name made to lead here",
            format!("http://evil.example:{to}"),
            String::new(),
            12,
        ),
    ] {
        let document = visit(&format!("{page}/page?to={to}"), TIME);
        let mut seen = target.take();
        // A beacon may come after its page has gone.
        wait_until("all has been asked", || {
            seen.extend(target.take());
            seen.len() >= asked_least
        });
        let refused = seen.iter().filter(|seen| seen.status() == "403").count();
        println!(
            "{what}: {refused} of {} requests refused; the page has read: {}",
            seen.len(),
            told(&document)
        );
        for seen in &seen {
            println!("    {} {}", seen.status(), seen.summary());
            assert_eq!(seen.status(), "403", "{}", seen.request);
        }
        assert!(!told(&document).contains("firehose_"), "{document}");
        assert!(!told(&document).contains("\"state\""), "{document}");
        assert_eq!(accepted(&site), 0, "{what}");
    }
    daemon.kill();
}

#[test]
fn the_status_page_and_pages_of_listed_hosts_work_in_a_real_browser() {
    let site = site("\"app.example\"");
    let daemon = site.start();
    let (pages, target) = (Relay::start(site.address), Relay::start(site.address));
    let (from, to) = (pages.port(), target.port());
    for url in [
        format!("http://127.0.0.1:{to}/"),
        format!("http://localhost:{to}/"),
        format!("http://app.example:{to}/"),
        // A link on a page of somebody else's: what it shows is shown to who follows it.
        format!("http://wiki.example:{from}/link?to=http://127.0.0.1:{to}/"),
    ] {
        let document = visit(&url, TIME);
        assert!(
            document.contains("<title>firehose</title>"),
            "{url}: {document}"
        );
    }
    let before = accepted(&site);
    target.take();
    visit(&format!("http://app.example:{to}/page?to="), TIME);
    let own = accepted(&site) - before;
    visit(
        &format!("http://app.example:{from}/page?to=http://127.0.0.1:{to}"),
        TIME,
    );
    let other = accepted(&site) - before - own;
    println!("a listed host's page: {own} records from its own origin, {other} from another one");
    assert!(
        own >= 4 && other >= 2,
        "{own} and {other}: {:#?}",
        target.take()
    );
    daemon.kill();
}
