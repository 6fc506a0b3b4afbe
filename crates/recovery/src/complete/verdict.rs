//! What a verdict says: components, their states, the checks that were made.

use serde::Serialize;

/// The verdict on everything that a CA needs to come back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// One for each component of recovery.md 1.1, in that order.
    pub components: Vec<Component>,
    /// What it comes to.
    pub verdict: Conclusion,
    /// The components that are needed and not there.
    pub missing: Vec<&'static str>,
    /// Whether something contradicts: a key, a CRL or a configuration is of another CA.
    pub contradicts: bool,
}

/// What a verdict comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Conclusion {
    /// Everything that is needed is there, or is kept elsewhere as the operator says.
    Complete,
    /// Something that is needed is not there, or is not good.
    Incomplete,
    /// Whether something that is needed is there cannot be told.
    CannotTell,
}

/// Whether a component is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It is there.
    Present,
    /// It is kept elsewhere.
    External,
    /// It is not there.
    Absent,
    /// This CA does not have it.
    NotApplicable,
    /// Nothing says whether it is needed or there.
    CannotTell,
}

/// Something that a CA needs, or may need.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Component {
    /// Its name for programs.
    pub id: &'static str,
    /// Its name for people.
    pub name: &'static str,
    /// Whether the CA cannot come back without it.
    pub needed: bool,
    /// Whether it is there.
    pub state: State,
    /// Where it is, or where it was found.
    pub source: Option<String>,
    /// When it was taken, RFC 3339 UTC.
    pub taken: Option<String>,
    /// What was checked of it.
    pub checks: Vec<Check>,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was checked.
    pub name: &'static str,
    /// Whether it went well; nothing where that cannot be told.
    pub ok: Option<bool>,
    /// What was found.
    pub detail: String,
    /// What to do, where there is something to do.
    pub remedy: Option<String>,
    /// Whether it is of another CA.
    #[serde(skip)]
    pub contradicts: bool,
}

impl Check {
    /// It went well.
    pub(super) fn good(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, ok: Some(true), detail: detail.into(), remedy: None, contradicts: false }
    }

    /// It did not.
    pub(super) fn bad(name: &'static str, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name, ok: Some(false), detail: detail.into(), remedy: Some(remedy.into()), contradicts: false }
    }

    /// It shows something of another CA.
    pub(super) fn contradiction(
        name: &'static str,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { contradicts: true, ..Self::bad(name, detail, remedy) }
    }

    /// Nothing says.
    pub(super) fn unknown(name: &'static str, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { ok: None, ..Self::bad(name, detail, remedy) }
    }
}

impl Component {
    pub(super) fn new(id: &'static str, name: &'static str, needed: bool, state: State) -> Self {
        Self { id, name, needed, state, source: None, taken: None, checks: Vec::new() }
    }

    pub(super) fn at(mut self, source: impl Into<String>) -> Self {
        self.source = Some(source.into());
        self
    }

    pub(super) fn of(mut self, found: Option<&(String, String)>) -> Self {
        if let Some((source, taken)) = found {
            self.source = Some(source.clone());
            self.taken = Some(taken.clone());
        }
        self
    }

    pub(super) fn with(mut self, checks: impl IntoIterator<Item = Check>) -> Self {
        self.checks.extend(checks);
        self
    }
}

impl Verdict {
    pub(super) fn of(components: Vec<Component>) -> Self {
        let needed = || components.iter().filter(|component| component.needed);
        let missing: Vec<_> = needed()
            .filter(|component| component.state == State::Absent)
            .map(|component| component.id)
            .collect();
        let checks = || components.iter().flat_map(|component| &component.checks);
        let is_bad = needed().flat_map(|component| &component.checks).any(|check| check.ok == Some(false));
        let is_unknown = needed().any(|component| component.state == State::CannotTell);
        let verdict = match (missing.is_empty() && !is_bad, is_unknown) {
            (false, _) => Conclusion::Incomplete,
            (true, true) => Conclusion::CannotTell,
            (true, false) => Conclusion::Complete,
        };
        let contradicts = checks().any(|check| check.contradicts);
        Self { verdict, missing, contradicts, components }
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Present => "present",
            Self::External => "external",
            Self::Absent => "absent",
            Self::NotApplicable => "not applicable",
            Self::CannotTell => "cannot tell",
        })
    }
}

impl std::fmt::Display for Conclusion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Complete => "complete",
            Self::Incomplete => "incomplete",
            Self::CannotTell => "cannot tell",
        })
    }
}
