use std::fmt;

/// What can go wrong between us and a server, in the server's own words where it has any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The server refused: its code and its words.
    Api {
        /// HTTP's code, or the operation's.
        code: u16,
        /// LXD's words.
        message: String,
    },
    /// Nothing reached the server; safe to send again.
    NotSent(String),
    /// Sent, and the answer was lost: only reading the object again tells.
    OutcomeUnknown(String),
    /// The wait ran out; the operation goes on at the server.
    TimedOut(String),
    /// The server shows another certificate than the one that was pinned.
    CertificateChanged {
        /// Whose.
        endpoint: String,
        /// SHA-256 of the pinned one.
        expected: String,
        /// SHA-256 of the one that it shows now.
        shown: String,
    },
    /// The server does not trust our certificate.
    Untrusted(String),
    /// An answer that the API does not allow.
    Protocol(String),
    /// Something on this side: a remote that is not known, a key that cannot be read. With the remedy.
    Config(String),
}

impl Error {
    /// The server is not there, or says that it is just starting or ending: nothing was done.
    pub fn is_away(&self) -> bool {
        matches!(self, Error::NotSent(_) | Error::Api { code: 503, .. })
    }

    /// Something else runs on the object; nothing was done.
    pub fn is_busy(&self) -> bool {
        matches!(self, Error::Api { message, .. } if {
            let message = message.to_ascii_lowercase();
            message.contains("is busy running") || message.contains("matching non-reusable operation")
        })
    }

    /// Worth trying again: nothing was sent, or the server was busy with something else.
    pub fn is_transient(&self) -> bool {
        const BUSY: &[&str] = &[
            "database is locked",
            "checkpoint in progress",
            "bad connection",
            "driver: bad",
            "is busy running",
            "matching non-reusable operation",
            "is already running",
            "failed to begin transaction",
            "no available dqlite leader",
            // LXD, of an ACL's edit, which looks into every project while somebody deletes another one.
            "failed getting acl network usage: failed to load project",
            // Incus, of a profile's edit while one of its instances goes.
            "failed to fetch instances: instance not found",
            // Incus, of a network's creation while an interface goes at the host.
            "failed to delete bridge children interfaces",
        ];
        match self {
            Error::NotSent(_) => true,
            Error::Api { code, message } => {
                let message = message.to_ascii_lowercase();
                // The power state asked for is no reason to ask again.
                let is_state = message.contains("instance is already running") || message.contains("already stopped");
                // A profile's edit reached an instance that somebody was deleting.
                let is_of_the_gone = message.contains("instances failed to update") && message.contains("not found");
                *code == 503 || is_of_the_gone || !is_state && BUSY.iter().any(|busy| message.contains(busy))
            }
            _ => false,
        }
    }

    /// The object is not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Error::Api { code: 404, .. })
    }

    /// The object has changed since its ETag was read.
    pub fn is_precondition_failed(&self) -> bool {
        matches!(self, Error::Api { code: 412, .. })
    }

    /// The client may not do this, or see it. Incus answers some lists with 500 in place of 403.
    pub fn is_forbidden(&self) -> bool {
        const WORDS: &[&str] = &["Certificate is restricted", "User does not have permission"];
        matches!(self, Error::Api { code, message }
            if *code == 403 || WORDS.iter().any(|words| message.starts_with(words)))
    }

    /// A creation found the object there. LXD says so with 400, 409 or 500, by kind and version; Incus lets its
    /// database say it where two make the same at once.
    pub fn already_exists(&self) -> bool {
        const WORDS: &[&str] = &["already exists", "same fingerprint", "UNIQUE constraint failed"];
        matches!(self, Error::Api { code, message } if *code == 409 || WORDS.iter().any(|words| message.contains(words)))
    }

    /// A pool or network that an earlier run began: on this member it is pending.
    pub fn is_pending_already(&self) -> bool {
        matches!(self, Error::Api { message, .. } if message.contains("already"))
    }

    /// The project that was asked about is not there; LXD 5.0 answers an empty list in its place.
    pub fn is_missing_project(&self) -> bool {
        matches!(self, Error::Api { message, .. } if message.to_ascii_lowercase().contains("project not found"))
    }

    /// The operation did not come to its end within LXD's own time.
    pub fn ran_out(&self) -> bool {
        matches!(self, Error::Api { message, .. } if message.contains("timed out"))
    }

    /// An instance that started a moment ago lets nobody in yet; nothing tells when it does.
    pub fn is_too_early(&self) -> bool {
        matches!(self, Error::Api { message, .. } if message.contains("retrieve PID of executing child process"))
    }

    /// The instance has the power state that was asked for.
    pub fn is_in_that_state(&self) -> bool {
        matches!(self, Error::Api { message, .. } if {
            let message = message.to_ascii_lowercase();
            message.contains("already running") || message.contains("already stopped") || message.contains("isn't running")
                || message.contains("is not running")
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Api { message, .. } => f.write_str(message),
            Error::NotSent(why) => write!(f, "the server cannot be reached: {why}"),
            Error::OutcomeUnknown(why) => write!(f, "the connection broke before the answer came: {why}"),
            Error::TimedOut(what) => {
                write!(f, "{what} is not done in time; it goes on at the server (--timeout gives it longer)")
            }
            Error::CertificateChanged { endpoint, expected, shown } => write!(
                f,
                "{endpoint} shows another certificate than the one that was trusted; nothing was sent to it. \
                 Its SHA-256 is {shown}, and trusted is {expected}. Three things do that: clustering was enabled there \
                 (LXD then changes its certificate), the server was reinstalled, or this is an attack: somebody sits between \
                 you and it. Compare with the fingerprint at the server itself (`lxc info | grep fingerprint`). Only if that \
                 is the new one: `lxdeploy remote remove NAME` and `lxdeploy remote add NAME URL` trust it (for a remote of \
                 lxc's own: `lxc remote remove` and `lxc remote add`)"
            ),
            Error::Untrusted(endpoint) => write!(
                f,
                "{endpoint} does not trust this client's certificate; at the server, `lxc config trust add --name lxdeploy` \
                 prints a token for `lxdeploy remote add NAME TOKEN` (`incus config trust add lxdeploy` for Incus)"
            ),
            Error::Protocol(what) => write!(f, "the server's answer is not LXD's: {what}"),
            Error::Config(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(code: u16, message: &str) -> Error {
        Error::Api { code, message: message.into() }
    }

    #[test]
    fn what_is_worth_trying_again() {
        assert!(api(500, "Instance is busy running a \"create\" operation").is_transient());
        assert!(api(500, "A matching non-reusable operation has now succeeded").is_transient());
        assert!(!api(400, "The instance is already running").is_transient());
        assert!(api(400, "The instance is already running").is_in_that_state());
        assert!(!api(400, "Invalid devices").is_transient());
        let gone = "The following instances failed to update (profile change still saved):\n - Project: p, Instance: a: \
            Failed to update database: Instance not found";
        assert!(api(500, gone).is_transient());
        assert!(!api(404, "Instance not found").is_transient());
    }

    #[test]
    fn lxds_words_for_what_is_half_done() {
        let api = |message: &str| Error::Api { code: 400, message: message.into() };
        assert!(api("Instance \"stop\" operation timed out after 30s").ran_out());
        assert!(!Error::TimedOut("PUT /1.0/instances/a/state".into()).ran_out());
        assert!(api("Storage pool already pending on member n1").is_pending_already());
        assert!(api("Project not found").is_missing_project());
    }

    #[test]
    fn a_restricted_certificate_is_forbidden_in_three_ways() {
        assert!(api(403, "not authorized").is_forbidden());
        assert!(api(500, "Certificate is restricted").is_forbidden());
        assert!(api(500, "User does not have permissions for project \"default\"").is_forbidden());
        assert!(!api(500, "Failed to begin transaction").is_forbidden());
    }

    #[test]
    fn all_of_lxds_ways_to_say_exists() {
        for error in
            [api(409, "Conflict"), api(400, "The network already exists"), api(500, "Error inserting: already exists")]
        {
            assert!(error.already_exists());
        }
    }
}
