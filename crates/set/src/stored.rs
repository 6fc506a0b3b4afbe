//! Sets that are kept somewhere, in a folder or in a repository: what each says of itself without being read, and which of
//! them a restore needs together (repository.md 6).

use crate::manifest::SetKind;

/// A set that is kept somewhere, by what is known of it without reading its files.
pub trait Stored {
    /// What tells it from all others there.
    fn id(&self) -> &str;
    /// How people name it.
    fn name(&self) -> &str {
        self.id()
    }
    /// When its backup ended, in seconds since 1970, UTC.
    fn time(&self) -> i64;
    /// The CA's sanitized name.
    fn ca(&self) -> &str;
    /// Full or logs only.
    fn kind(&self) -> SetKind;
    /// The signature of its database; empty where it is not known.
    fn database(&self) -> &str;
    /// The signature of its stream of logs; empty where it is not known.
    fn stream(&self) -> &str;
    /// Its lowest and its highest generation.
    fn generations(&self) -> (u32, u32);
    /// Bytes of its files.
    fn bytes(&self) -> u64;
    /// Whether it never expires, whatever the rules.
    fn is_held(&self) -> bool;
}

/// Sorts the newest first. Of the same second, that with the newest log; no two are equal, so whoever looks gets the same
/// order.
pub fn age<S: Stored>(set: &S) -> impl Ord + use<'_, S> {
    let (low, high) = set.generations();
    std::cmp::Reverse((set.time(), high, low, set.id()))
}

/// Whether both are of one database with one stream of logs.
pub fn goes_with<S: Stored>(one: &S, other: &S) -> bool {
    (one.ca(), one.database(), one.stream()) == (other.ca(), other.database(), other.stream())
}

/// The chain that ends with `last`: the newest full set before it that log sets lead on from, and as few of these as do.
///
/// # Errors
/// A sentence, when generations are missing.
pub fn chain<'a, S: Stored>(sets: &[&'a S], last: &'a S) -> Result<Vec<&'a S>, String> {
    if last.kind() == SetKind::Full {
        return Ok(vec![last]);
    }
    let mut related: Vec<&S> =
        sets.iter().copied().filter(|set| goes_with(*set, last) && age(last) <= age(*set)).collect();
    related.sort_by(|one, other| age(*one).cmp(&age(*other)));
    related
        .iter()
        .copied()
        .filter(|set| set.kind() == SetKind::Full)
        .find_map(|full| continued(full, last, &related))
        .ok_or_else(|| {
            let (low, high) = last.generations();
            format!(
                "the log set {} (generations {low:#x} to {high:#x}) continues no full set that is here",
                last.name()
            )
        })
}

/// Goes from a full set to `last`, each time by the log set that leads furthest; `None` where a generation is missing.
fn continued<'a, S: Stored>(full: &'a S, last: &'a S, related: &[&'a S]) -> Option<Vec<&'a S>> {
    let mut chain = vec![full];
    let mut covered = full.generations().1;
    loop {
        if last.generations().0 <= covered.saturating_add(1) {
            chain.push(last);
            return Some(chain);
        }
        let next = related
            .iter()
            .copied()
            .filter(|set| set.kind() == SetKind::Logs && full.time() <= set.time())
            .filter(|set| set.generations().0 <= covered.saturating_add(1) && covered < set.generations().1)
            .max_by_key(|set| set.generations().1)?;
        covered = next.generations().1;
        chain.push(next);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A set of a history.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub(crate) struct Kept {
        pub(crate) id: String,
        pub(crate) time: i64,
        pub(crate) kind: SetKind,
        pub(crate) database: &'static str,
        pub(crate) generations: (u32, u32),
        pub(crate) held: bool,
    }

    /// A set of a history.
    pub(crate) fn set(
        id: u64,
        time: i64,
        kind: SetKind,
        database: &'static str,
        generations: (u32, u32),
        held: bool,
    ) -> Kept {
        Kept { id: format!("{id:064x}"), time, kind, database, generations, held }
    }

    impl Stored for Kept {
        fn id(&self) -> &str {
            &self.id
        }

        fn time(&self) -> i64 {
            self.time
        }

        fn ca(&self) -> &str {
            "CA"
        }

        fn kind(&self) -> SetKind {
            self.kind
        }

        fn database(&self) -> &str {
            self.database
        }

        fn stream(&self) -> &str {
            "aa"
        }

        fn generations(&self) -> (u32, u32) {
            self.generations
        }

        fn bytes(&self) -> u64 {
            0
        }

        fn is_held(&self) -> bool {
            self.held
        }
    }
}
