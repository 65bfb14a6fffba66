//! As much of HTTP/1.1 as the service needs: one request and one answer a connection.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use polypeer::records::SignedRecord;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::MAX_HEAD;

/// Fields of a head.
const MAX_FIELDS: usize = 64;
/// Bytes of a request that is refused which are read and thrown away, and for how long:
/// who still writes would not see the answer otherwise.
const MAX_IGNORED: u64 = 256 * 1024;
const IGNORING: Duration = Duration::from_secs(2);

/// A status and its name.
pub(super) type Status = (u16, &'static str);

pub(super) const OK: Status = (200, "OK");
pub(super) const NO_CONTENT: Status = (204, "No Content");
pub(super) const NOT_MODIFIED: Status = (304, "Not Modified");
pub(super) const BAD_REQUEST: Status = (400, "Bad Request");
pub(super) const NOT_FOUND: Status = (404, "Not Found");
pub(super) const NOT_ACCEPTABLE: Status = (406, "Not Acceptable");
pub(super) const TIMEOUT: Status = (408, "Request Timeout");
pub(super) const NO_LENGTH: Status = (411, "Length Required");
pub(super) const TOO_LONG: Status = (413, "Content Too Large");
pub(super) const UNPROCESSABLE: Status = (422, "Unprocessable Content");
pub(super) const TOO_MANY: Status = (429, "Too Many Requests");
pub(super) const LONG_HEAD: Status = (431, "Request Header Fields Too Large");
pub(super) const NOT_IMPLEMENTED: Status = (501, "Not Implemented");
pub(super) const UNAVAILABLE: Status = (503, "Service Unavailable");

/// A request.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    /// What stands behind the `?`.
    pub(super) query: String,
    pub(super) accept: String,
    pub(super) content_type: String,
    pub(super) if_none_match: String,
    pub(super) body: Vec<u8>,
}

/// Why a request is not carried out.
#[derive(Debug)]
pub(super) struct Refusal(pub(super) Status, pub(super) String);

impl Refusal {
    pub(super) fn new(status: Status, reason: impl ToString) -> Self {
        Self(status, reason.to_string())
    }
}

/// Reads a request whose body is one record at most.
pub(super) async fn read(
    stream: &mut (impl AsyncRead + Unpin),
) -> io::Result<Result<Request, Refusal>> {
    let no = |status, reason: &str| Ok(Err(Refusal::new(status, reason)));
    let mut bytes = Vec::new();
    loop {
        if bytes.len() > MAX_HEAD {
            return no(LONG_HEAD, "the head of the request is too long");
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return no(BAD_REQUEST, "not a request");
        }
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut head = httparse::Request::new(&mut fields);
        let length = match head.parse(&bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => continue,
            Err(httparse::Error::TooManyHeaders) => {
                return no(LONG_HEAD, "the head of the request has too many fields");
            }
            Err(_) => return no(BAD_REQUEST, "not a request"),
        };
        let field = |name: &str| {
            let found = head.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name));
            let value = found.and_then(|field| std::str::from_utf8(field.value).ok());
            value.unwrap_or_default().to_owned()
        };
        let (Some(method), Some(target)) = (head.method, head.path) else {
            return no(BAD_REQUEST, "not a request");
        };
        if !field("transfer-encoding").is_empty() {
            return no(NO_LENGTH, "the length of the body is to be said before");
        }
        let wanted = match field("content-length").trim() {
            "" => Some(0),
            text => text.parse().ok(),
        };
        let Some(wanted) = wanted.filter(|wanted| *wanted <= SignedRecord::MAX_LEN) else {
            return no(TOO_LONG, "the body is longer than a record");
        };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut request = Request {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            accept: field("accept"),
            content_type: field("content-type"),
            if_none_match: field("if-none-match"),
            body: Vec::new(),
        };
        let mut body = bytes.split_off(length);
        while body.len() < wanted {
            if stream.read_buf(&mut body).await? == 0 {
                return no(BAD_REQUEST, "the body is not complete");
            }
        }
        body.truncate(wanted);
        request.body = body;
        return Ok(Ok(request));
    }
}

/// Writes an answer; `fields` are lines of its head, each with its end.
pub(super) async fn respond(
    stream: &mut (impl AsyncWrite + Unpin),
    status: Status,
    fields: &str,
    body: &[u8],
) -> io::Result<()> {
    let length = match status {
        NO_CONTENT | NOT_MODIFIED => String::new(),
        _ => format!("Content-Length: {}\r\n", body.len()),
    };
    head(stream, status, &(length + fields)).await?;
    stream.write_all(body).await
}

/// Writes the head of an answer. Pages of any origin may read it.
pub(super) async fn head(
    stream: &mut (impl AsyncWrite + Unpin),
    (status, name): Status,
    fields: &str,
) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 {status} {name}\r\nConnection: close\r\nVary: Accept\r\n\
         Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Methods: GET, PUT, OPTIONS\r\n\
         Access-Control-Allow-Headers: Content-Type, Accept, If-None-Match\r\n\
         Access-Control-Expose-Headers: ETag\r\n{fields}\r\n"
    );
    stream.write_all(head.as_bytes()).await
}

/// Ends the answer to a request that may still be coming.
pub(super) async fn turn_away(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
) -> io::Result<()> {
    stream.shutdown().await?;
    let mut rest = stream.take(MAX_IGNORED);
    let mut nowhere = tokio::io::sink();
    // Who does not end it by then is left.
    let _ = timeout(IGNORING, tokio::io::copy(&mut rest, &mut nowhere)).await;
    Ok(())
}

/// What the answer is of.
pub(super) fn content_type(kind: &str) -> String {
    format!("Content-Type: {kind}\r\n")
}

/// How long caches keep an answer that was found just now, and one that is old while they
/// ask again or cannot; in seconds.
pub(super) fn caching(age: u64, stale: u64) -> String {
    let now = date(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default());
    format!(
        "Cache-Control: public, max-age={age}, stale-while-revalidate={stale}, \
         stale-if-error={stale}\r\nLast-Modified: {now}\r\n"
    )
}

/// Unix time as HTTP writes it (RFC 9110, section 5.6.7).
pub(super) fn date(unix: Duration) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec", "Jan", "Feb"];
    // The last second of the year 9999: more digits no year has.
    let seconds = unix.as_secs().min(253_402_300_799);
    let (days, time) = (seconds / 86_400, seconds % 86_400);
    let weekday = DAYS.get((days % 7) as usize).copied().unwrap_or_default();
    // Years that begin in March, in eras of 400 years from the year 0 on.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let year = era * 400 + year + u64::from(month >= 10);
    let month = MONTHS.get(month as usize).copied().unwrap_or_default();
    let (hours, minutes, seconds) = (time / 3600, time / 60 % 60, time % 60);
    format!("{weekday}, {day:02} {month} {year:04} {hours:02}:{minutes:02}:{seconds:02} GMT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (seconds, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
            (u64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            assert_eq!(date(Duration::from_secs(seconds)), text);
        }
    }

    async fn reads(bytes: &[u8]) -> Result<Request, Refusal> {
        read(&mut &*bytes).await.unwrap()
    }

    #[tokio::test]
    async fn requests() {
        let text = b"PUT /a?b=c HTTP/1.1\r\nhost: x\r\nCONTENT-length: 3\r\nAccept: y\r\n\r\nabcd";
        let request = reads(text).await.unwrap();
        assert_eq!((&*request.method, &*request.path, &*request.query), ("PUT", "/a", "b=c"));
        assert_eq!((&*request.accept, &*request.body), ("y", &b"abc"[..]));
    }

    #[tokio::test]
    async fn what_is_too_much_or_none() {
        let fields = |count| format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(count));
        let length = |text: &str| format!("PUT / HTTP/1.1\r\nContent-Length: {text}\r\n\r\n");
        for (text, status) in [
            (format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(2 * MAX_HEAD)), LONG_HEAD),
            (fields(MAX_FIELDS + 1), LONG_HEAD),
            (length("10241"), TOO_LONG),
            (length("-1"), TOO_LONG),
            (length("99999999999999999999999999"), TOO_LONG),
            (length("5"), BAD_REQUEST),
            ("PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".into(), NO_LENGTH),
            ("nonsense\r\n\r\n".into(), BAD_REQUEST),
            ("GET / HT".into(), BAD_REQUEST),
            (String::new(), BAD_REQUEST),
        ] {
            assert_eq!(reads(text.as_bytes()).await.unwrap_err().0, status, "{text:.60}");
        }
        assert!(reads(fields(MAX_FIELDS).as_bytes()).await.is_ok());
    }
}
