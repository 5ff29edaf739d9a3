use std::path::PathBuf;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

/// What to send: a request as data, so that every verb of every kind can be tested without a server.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The HTTP method.
    pub method: Method,
    /// The path, each part escaped: `/1.0/profiles/a%20b`.
    pub path: String,
    /// The query, unescaped.
    pub query: Vec<(&'static str, String)>,
    /// The body.
    pub body: Body,
    /// The ETag that the object must still have (`If-Match`); of no effect on DELETE and on instance state.
    pub if_match: Option<String>,
}

/// The methods that LXD knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Read.
    Get,
    /// Create, or act.
    Post,
    /// Replace.
    Put,
    /// Merge.
    Patch,
    /// Remove.
    Delete,
}

/// A request's body.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// None.
    Empty,
    /// JSON.
    Json(Value),
    /// An image's files, streamed: one file is sent raw (a unified tarball), two as multipart `metadata` and
    /// `rootfs`.
    Image {
        /// The unified tarball, or the metadata tarball.
        metadata: PathBuf,
        /// The root file system of a split image, and the part's name: `rootfs` or `rootfs.img` (VM).
        rootfs: Option<(&'static str, PathBuf)>,
        /// `X-LXD-properties`, as a query string.
        properties: String,
        /// `X-LXD-public`.
        public: bool,
    },
}

/// A path or query component as LXD wants it: everything but unreserved characters escaped.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Escapes one part of a path or one value of a query.
pub fn escape(text: &str) -> String {
    utf8_percent_encode(text, COMPONENT).to_string()
}

impl Call {
    /// A call without query and body; `parts` are escaped and joined under `/1.0`.
    pub fn new(method: Method, parts: &[&str]) -> Self {
        let mut path = String::from("/1.0");
        for part in parts {
            path.push('/');
            path.push_str(&escape(part));
        }
        Call { method, path, query: vec![], body: Body::Empty, if_match: None }
    }

    /// GET.
    pub fn get(parts: &[&str]) -> Self {
        Call::new(Method::Get, parts)
    }

    /// POST with a JSON body.
    pub fn post(parts: &[&str], body: Value) -> Self {
        Call::new(Method::Post, parts).json(body)
    }

    /// PUT with a JSON body.
    pub fn put(parts: &[&str], body: Value) -> Self {
        Call::new(Method::Put, parts).json(body)
    }

    /// DELETE.
    pub fn delete(parts: &[&str]) -> Self {
        Call::new(Method::Delete, parts)
    }

    /// With a JSON body.
    #[must_use]
    pub fn json(mut self, body: Value) -> Self {
        self.body = Body::Json(body);
        self
    }

    /// With one more query parameter.
    #[must_use]
    pub fn query(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.query.push((key, value.into()));
        self
    }

    /// In a project.
    #[must_use]
    pub fn project(self, project: &str) -> Self {
        self.query("project", project)
    }

    /// Path and query as one string, escaped.
    pub fn target(&self) -> String {
        let mut target = self.path.clone();
        for (index, (key, value)) in self.query.iter().enumerate() {
            target.push(if index == 0 { '?' } else { '&' });
            target.push_str(key);
            target.push('=');
            target.push_str(&escape(value));
        }
        target
    }

    /// True where sending it twice leaves the same as sending it once. A PUT of an instance's state is an act: the
    /// second start may come after somebody's stop.
    pub fn is_safe_twice(&self) -> bool {
        match self.method {
            Method::Get | Method::Delete => true,
            Method::Put => !self.path.ends_with("/state"),
            Method::Post | Method::Patch => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_safe_twice() {
        assert!(Call::delete(&["instances", "a"]).is_safe_twice());
        assert!(Call::put(&["profiles", "a"], Value::Null).is_safe_twice());
        assert!(!Call::put(&["instances", "a", "state"], Value::Null).is_safe_twice());
        assert!(!Call::post(&["instances"], Value::Null).is_safe_twice());
    }

    #[test]
    fn names_are_escaped() {
        let call = Call::get(&["profiles", "a b/c"]).project("x&y").query("recursion", "1");
        assert_eq!(call.target(), "/1.0/profiles/a%20b%2Fc?project=x%26y&recursion=1");
    }
}
