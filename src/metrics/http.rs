//! What a scraper may ask, and how it is answered: GET and HEAD, a few paths, one exchange per connection.
//!
//! Parsing is `httparse`'s; here is only what is wanted of it. Refuses: any I/O.

use std::{fmt::Write, net::IpAddr};

use super::text::Format;

/// The longest head of a request that is read, in bytes.
pub const HEAD_MOST: usize = 8 * 1024;

/// A request that can be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The path, without what follows a `?`.
    pub path: String,
    /// Which format of an exposition is wanted.
    pub format: Format,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status, with its words.
    pub status: &'static str,
    /// The body's type.
    pub content_type: &'static str,
    /// A header of ours, complete.
    pub header: String,
    /// The body.
    pub body: String,
}

impl Response {
    /// An answer that was asked for.
    pub fn ok(content_type: &'static str, body: String) -> Response {
        Response { status: "200 OK", content_type, header: String::new(), body }
    }

    /// An answer that says why there is none.
    pub fn refused(status: &'static str, why: &str) -> Response {
        Response { status, content_type: PLAIN, header: String::new(), body: format!("{why}\n") }
    }

    /// As it is sent.
    pub fn bytes(&self, head_only: bool) -> Vec<u8> {
        let mut text = format!(
            "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n",
            self.status,
            self.content_type,
            self.body.len()
        );
        if !self.header.is_empty() {
            let _ = write!(text, "{}\r\n", self.header);
        }
        text += "\r\n";
        if !head_only {
            text += &self.body;
        }
        text.into_bytes()
    }
}

/// Text for people.
pub const PLAIN: &str = "text/plain; charset=utf-8";

/// What the bytes that came so far are. `loopback`: whether only this machine can reach us.
pub fn parse(bytes: &[u8], loopback: bool) -> Option<Result<Request, Response>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Request::new(&mut headers);
    match head.parse(bytes) {
        Ok(httparse::Status::Complete(_)) => Some(request(&head, loopback)),
        Ok(httparse::Status::Partial) if bytes.len() <= HEAD_MOST => None,
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => Some(Err(Response::refused(
            "431 Request Header Fields Too Large",
            "The head of a request is 8 KiB at most.",
        ))),
        Err(_) => Some(Err(Response::refused("400 Bad Request", "This is no HTTP request."))),
    }
}

fn request(head: &httparse::Request<'_, '_>, loopback: bool) -> Result<Request, Response> {
    let (method, target) = (head.method.unwrap_or_default(), head.path.unwrap_or_default());
    let bad = |why| Err(Response::refused("400 Bad Request", why));
    let hosts: Vec<&[u8]> = values(head, "host").collect();
    match hosts.as_slice() {
        [host] if loopback && !is_ours(host) => {
            return bad(
                "Here only localhost and addresses are answered to, not names that somebody may have pointed here.",
            );
        }
        [_] => {}
        [] if head.version == Some(0) => {}
        _ => return bad("A request has one Host."),
    }
    if method != "GET" && method != "HEAD" {
        let refused = Response::refused("405 Method Not Allowed", "Only GET and HEAD are answered.");
        return Err(Response { header: "Allow: GET, HEAD".into(), ..refused });
    }
    let accept: Vec<String> = values(head, "accept").map(|v| String::from_utf8_lossy(v).into_owned()).collect();
    let path = target.split(['?', '#']).next().unwrap_or_default().to_string();
    Ok(Request { path, format: wanted(&accept.join(",")) })
}

fn values<'a>(head: &'a httparse::Request<'_, '_>, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    head.headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
}

/// Whether a page of somebody else's cannot have sent a browser here by a name of its own.
fn is_ours(host: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else { return false };
    let host = host.trim();
    let (name, port) = match host.rfind(':').filter(|at| !host[*at..].contains(']')) {
        Some(at) if host[..at].starts_with('[') || !host[..at].contains(':') => (&host[..at], &host[at + 1..]),
        _ => (host, ""),
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    let port = port.bytes().all(|b| b.is_ascii_digit());
    port && (name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok())
}

/// The format that an Accept header likes best. Whoever says nothing gets the older one.
fn wanted(accept: &str) -> Format {
    let liking = |media: &str| {
        let ranges = accept.split(',').map(|range| range.split(';').map(str::trim).collect::<Vec<_>>());
        let likings = ranges.filter(|range| range[0].eq_ignore_ascii_case(media)).map(|range| {
            let version = range.iter().find_map(|p| p.strip_prefix("version=")).unwrap_or("1.0.0");
            let quality = range.iter().find_map(|p| p.strip_prefix("q=")?.parse::<f32>().ok()).unwrap_or(1.0);
            if media.starts_with("application/") && !["1.0.0", "0.0.1"].contains(&version) { 0.0 } else { quality }
        });
        likings.fold(0.0, f32::max)
    };
    let open = liking("application/openmetrics-text");
    if open > 0.0 && open >= liking("text/plain") { Format::OpenMetrics } else { Format::Prometheus }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str) -> Result<Request, &'static str> {
        parse(text.as_bytes(), true).expect("a whole request").map_err(|refused| refused.status)
    }

    #[test]
    fn what_is_asked_is_understood() {
        let plain = |path: &str| Request { path: path.into(), format: Format::Prometheus };
        assert_eq!(asked("GET /metrics?x=1 HTTP/1.1\r\nHost: localhost:9273\r\n\r\n"), Ok(plain("/metrics")));
        assert_eq!(asked("HEAD / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"), Ok(plain("/")));
        assert_eq!(asked("GET / HTTP/1.0\r\n\r\n"), Ok(plain("/")));
        for half in ["", "GET", "GET / HTTP/1.1\r\nHost: x\r\n"] {
            assert_eq!(parse(half.as_bytes(), true), None);
        }
    }

    #[test]
    fn what_cannot_be_answered_is_refused_by_its_number() {
        let long = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}", "x".repeat(HEAD_MOST));
        let many = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "A: b\r\n".repeat(100));
        for (text, status) in [
            ("POST / HTTP/1.1\r\nHost: localhost\r\n\r\n", "405 Method Not Allowed"),
            ("GET / HTTP/1.1\r\n\r\n", "400 Bad Request"),
            ("GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", "400 Bad Request"),
            ("\x16\x03\x01\x02\x00", "400 Bad Request"),
            (&long, "431 Request Header Fields Too Large"),
            (&many, "431 Request Header Fields Too Large"),
        ] {
            assert_eq!(asked(text), Err(status), "{text:.40}");
        }
    }

    #[test]
    fn on_loopback_no_name_but_localhost_is_answered_to() {
        for host in ["localhost", "LOCALHOST:1", "127.0.0.1:9273", "[::1]:9273", "[::1]", "10.1.2.3"] {
            assert!(is_ours(host.as_bytes()), "{host}");
        }
        for host in
            ["", "evil.example", "evil.example:9273", "localhost.evil.example", "127.0.0.1.evil.example", "::1:x"]
        {
            assert!(!is_ours(host.as_bytes()), "{host}");
        }
        let named = b"GET /metrics HTTP/1.1\r\nHost: node7.example:9273\r\n\r\n";
        assert!(parse(named, true).is_some_and(|asked| asked.is_err()));
        assert!(parse(named, false).is_some_and(|asked| asked.is_ok()), "elsewhere machines have names");
    }

    #[test]
    fn the_format_is_the_one_that_is_liked_best() {
        let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        for (accept, format) in [
            (prometheus, Format::OpenMetrics),
            ("application/openmetrics-text", Format::OpenMetrics),
            ("text/plain, application/openmetrics-text;q=0.5", Format::Prometheus),
            ("application/openmetrics-text;version=9.0.0", Format::Prometheus),
            ("application/openmetrics-text;q=0", Format::Prometheus),
            ("text/html,*/*;q=0.8", Format::Prometheus),
            ("", Format::Prometheus),
        ] {
            assert_eq!(wanted(accept), format, "{accept}");
        }
    }
}
