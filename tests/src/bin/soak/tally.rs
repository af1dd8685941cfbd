//! What became of what one kind of sender did.

/// Counts, and the first thing that was wrong.
#[derive(Debug, Default, Clone)]
pub(crate) struct Tally {
    /// How many were sent.
    pub(crate) sent: u64,
    /// How many passed.
    pub(crate) passed: u64,
    /// How many got another answer than they should.
    pub(crate) wrong: u64,
    /// The first of these.
    pub(crate) first_wrong: Option<String>,
}

impl Tally {
    /// Adds another sender's.
    pub(crate) fn add(&mut self, other: Self) {
        self.sent += other.sent;
        self.passed += other.passed;
        self.wrong += other.wrong;
        self.first_wrong = self.first_wrong.take().or(other.first_wrong);
    }

    /// One more that got another answer than it should.
    pub(crate) fn is_wrong(&mut self, what: String) {
        self.wrong += 1;
        self.first_wrong.get_or_insert(what);
    }

    /// What is to be said of those of this name.
    pub(crate) fn problem(&self, name: &str) -> Option<String> {
        let first = self.first_wrong.as_ref()?;
        Some(format!(
            "{name}: {} wrong answers; first: {first}",
            self.wrong
        ))
    }
}
