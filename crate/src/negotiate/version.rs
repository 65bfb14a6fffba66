//! Which versions of a protocol are spoken, and which of a remote's are wanted.

use semver::{Version, VersionReq};
use thiserror::Error;

use super::Name;
use crate::collections::sort::sort_by;

/// The names that a protocol of one's own answers to, and those that it asks remotes for.
///
/// ```
/// use polypeer::negotiate::Versions;
/// let versions = Versions::range("/chat", "^1.2", "1.4.0")?;
/// assert_eq!(versions.own().collect::<Vec<_>>(), ["/chat/1.4.0"]);
/// let theirs = ["/chat/1.1.0", "/chat/1.9.0", "/chat/2.0.0", "/chat/1.2.3"].map(Into::into);
/// let best: Vec<String> = versions.among(&theirs).iter().map(|name| name.to_string()).collect();
/// assert_eq!(best, ["/chat/1.9.0", "/chat/1.2.3"]);
/// # Ok::<(), polypeer::negotiate::VersionError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versions {
    own: Vec<Name>,
    /// What stands before the version, with its slash, and the versions wanted.
    range: Option<(String, VersionReq)>,
}

/// Why a range of versions cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum VersionError {
    /// The range is none, by Cargo's rules: `^1.2`, `~1.2.3`, `>=1, <3`, `*`.
    #[error("{0} is no range of versions")]
    Range(String),
    /// The version is none: `1.2.0`.
    #[error("{0} is no version")]
    Version(String),
    /// Our own version is outside of the range, so peers like us would not meet.
    #[error("version {own} is outside of {range}")]
    Outside {
        /// Our version.
        own: String,
        /// The range.
        range: String,
    },
    /// A protocol's name begins with a slash and does not end with one.
    #[error("{0} is no name of a protocol")]
    Name(String),
}

impl Versions {
    /// One name and no other.
    pub fn exact(name: &str) -> Self {
        Self::list(&[name])
    }

    /// Several names, the best first.
    pub fn list(names: &[&str]) -> Self {
        Self { own: names.iter().map(|name| Name::from(*name)).collect(), range: None }
    }

    /// Version `own` of the protocol `name`, which gets on with remotes whose
    /// version is in `range`: `/chat` with `^1.2` takes `/chat/1.2.0` and later ones
    /// before `/chat/2.0.0`. The range is in Cargo's notation.
    pub fn range(name: &str, range: &str, own: &str) -> Result<Self, VersionError> {
        if !name.starts_with('/') || name.ends_with('/') {
            return Err(VersionError::Name(name.into()));
        }
        let wanted = VersionReq::parse(range).map_err(|_| VersionError::Range(range.into()))?;
        let version = parse(own).ok_or_else(|| VersionError::Version(own.into()))?;
        if !wanted.matches(&version) {
            return Err(VersionError::Outside { own: own.into(), range: range.into() });
        }
        let name = [name, "/"].concat();
        let own = [&*name, own].concat().into();
        Ok(Self { own: vec![own], range: Some((name, wanted)) })
    }

    /// The names to answer to, the best first.
    pub fn own(&self) -> impl Iterator<Item = &str> {
        self.own.iter().map(|name| &**name)
    }

    /// Those of a remote's `names` that are wanted, the best first.
    pub fn among(&self, names: &[Name]) -> Vec<Name> {
        let Some((prefix, range)) = &self.range else {
            return self.own.iter().filter(|name| names.contains(name)).cloned().collect();
        };
        let version = |name: &Name| {
            let version = parse(name.strip_prefix(prefix.as_str())?)?;
            range.matches(&version).then(|| (version, name.clone()))
        };
        let mut found: Vec<_> = names.iter().filter_map(version).collect();
        sort_by(&mut found, |a, b| b.cmp(a));
        found.dedup();
        // No negotiation takes more proposals than this, and no remote needs more.
        found.into_iter().take(MAX_PROPOSALS).map(|(_, name)| name).collect()
    }
}

/// Versions of one remote that are proposed to it.
const MAX_PROPOSALS: usize = 8;

/// A version; what is missing of three numbers is zero.
fn parse(text: &str) -> Option<Version> {
    // Longer ones are no versions but an attempt to keep us busy.
    if text.len() > 64 {
        return None;
    }
    match text.bytes().filter(|byte| *byte == b'.').count() {
        0 => Version::parse(&[text, ".0.0"].concat()).ok(),
        1 => Version::parse(&[text, ".0"].concat()).ok(),
        _ => Version::parse(text).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best(versions: &Versions, names: &[&str]) -> Vec<String> {
        let names: Vec<Name> = names.iter().map(|name| Name::from(*name)).collect();
        versions.among(&names).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_list_is_tried_in_its_own_order() {
        let list = Versions::list(&["/a/2", "/a/1"]);
        assert_eq!(best(&list, &["/a/1", "/b/1", "/a/2"]), ["/a/2", "/a/1"]);
        assert_eq!(best(&Versions::exact("/a/1"), &["/a/2"]), [""; 0]);
    }

    #[test]
    fn a_range_takes_the_highest_first() {
        let range = Versions::range("/a", "~1.2", "1.2.0").unwrap();
        let names =
            ["/a/1.2.9", "/a/1.10.0", "/a/1.2.10", "/a/1.2.10", "/b/1.2.1", "/a/x", "/a/1.2"];
        assert_eq!(best(&range, &names), ["/a/1.2.10", "/a/1.2.9", "/a/1.2"]);
        let any = Versions::range("/a", "*", "1.0.0").unwrap();
        assert_eq!(best(&any, &["/a/1", "/a/3.0", "/a/2.0.0"]), ["/a/3.0", "/a/2.0.0", "/a/1"]);
        assert_eq!(best(&any, &["/a/2.0.0-beta.1"]), [""; 0], "as Cargo: by its own wish only");
        let long = format!("/a/1.0.{}", "1".repeat(200));
        assert_eq!(best(&any, &[&long]), [""; 0]);
        let many: Vec<String> = (0..200).map(|n| format!("/a/1.{n}.0")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(best(&any, &many).len(), 8);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let error = |name, range, own| Versions::range(name, range, own).unwrap_err();
        assert_eq!(error("/a", "one", "1.0.0"), VersionError::Range("one".into()));
        assert_eq!(error("/a", "^1", "x"), VersionError::Version("x".into()));
        assert!(matches!(error("/a", "^1", "2.0.0"), VersionError::Outside { .. }));
        assert_eq!(error("a", "^1", "1.0.0"), VersionError::Name("a".into()));
    }
}
