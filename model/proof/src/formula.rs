//! First-order formulas: what they are, and how they are read and written.
//!
//! The syntax is what a mathematician would write in plain text:
//!
//! ```text
//! forall N R S V. honest(N) & commit(N,R,S,V) -> prepared(R,S,V)
//! ```
//!
//! The first letter of a variable says its sort ([`Sort::of`]), in either case. `!` binds strongest, then `=`, `!=`, `<`
//! and `<=`, then `&`, `|`, `->`, `<->`; a quantifier reaches as far to the right as it can.

use std::fmt;

/// What a variable ranges over. All sorts may be infinite; nothing but the axioms is known of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sort {
    /// A member of the group, honest or Byzantine: n, m.
    Replica,
    /// A set of replicas that is large enough to decide: q, p.
    Quorum,
    /// A view: r, t, u, c. Totally ordered, with a first one, `zero`.
    View,
    /// A sequence number: s, z. Totally ordered.
    Seq,
    /// A batch, by its digest: v, w.
    Value,
    /// The digest of a checkpoint: d, e.
    Digest,
}

impl Sort {
    /// All sorts.
    pub const ALL: [Self; 6] =
        [Self::Replica, Self::Quorum, Self::View, Self::Seq, Self::Value, Self::Digest];

    /// The sort of a variable, by its first letter.
    #[must_use]
    pub fn of(variable: &str) -> Option<Self> {
        match variable.chars().next()?.to_ascii_lowercase() {
            'n' | 'm' => Some(Self::Replica),
            'q' | 'p' => Some(Self::Quorum),
            'r' | 't' | 'u' | 'c' => Some(Self::View),
            's' | 'z' => Some(Self::Seq),
            'v' | 'w' => Some(Self::Value),
            'd' | 'e' => Some(Self::Digest),
            _ => None,
        }
    }

    /// Its name, for solvers: some have a sort `Seq` of their own.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Replica => "Replica",
            Self::Quorum => "Quorum",
            Self::View => "View",
            Self::Seq => "Number",
            Self::Value => "Value",
            Self::Digest => "Digest",
        }
    }
}

/// The first view, the only constant.
pub const ZERO: &str = "zero";

/// A variable, or [`ZERO`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term(pub String);

impl Term {
    /// Its sort.
    #[must_use]
    pub fn sort(&self) -> Option<Sort> {
        if self.0 == ZERO { Some(Sort::View) } else { Sort::of(&self.0) }
    }
}

/// How two terms of one sort are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// The same.
    Equal,
    /// At most, of views and of sequence numbers.
    AtMost,
}

/// A formula.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Formula {
    /// Always, or never.
    Constant(bool),
    /// A relation holds of these.
    Holds(String, Vec<Term>),
    /// Two terms compare so.
    Compare(Comparison, Term, Term),
    /// Not.
    Not(Box<Self>),
    /// All of these.
    And(Vec<Self>),
    /// One of these.
    Or(Vec<Self>),
    /// If the first, then the second.
    Implies(Box<Self>, Box<Self>),
    /// Both or none.
    Iff(Box<Self>, Box<Self>),
    /// For all values of the variables.
    ForAll(Vec<String>, Box<Self>),
    /// For some values of the variables.
    Exists(Vec<String>, Box<Self>),
}

impl Formula {
    /// The negation.
    #[must_use]
    pub fn negated(self) -> Self {
        Self::Not(Box::new(self))
    }

    /// The parts of a conjunction.
    pub(crate) fn conjunction(&self) -> Vec<&Self> {
        match self {
            Self::And(parts) => parts.iter().flat_map(Self::conjunction).collect(),
            other => vec![other],
        }
    }

    /// Whether the variable is free here.
    pub(crate) fn mentions(&self, variable: &str) -> bool {
        let is = |term: &Term| term.0 == variable;
        match self {
            Self::Constant(_) => false,
            Self::Holds(_, terms) => terms.iter().any(is),
            Self::Compare(_, a, b) => is(a) || is(b),
            Self::Not(inner) => inner.mentions(variable),
            Self::And(parts) | Self::Or(parts) => parts.iter().any(|part| part.mentions(variable)),
            Self::Implies(a, b) | Self::Iff(a, b) => a.mentions(variable) || b.mentions(variable),
            Self::ForAll(bound, inner) | Self::Exists(bound, inner) => {
                !bound.iter().any(|one| one == variable) && inner.mentions(variable)
            }
        }
    }

    /// Visits each relation with its arguments.
    pub fn relations(&self, visit: &mut impl FnMut(&str, &[Term])) {
        match self {
            Self::Constant(_) | Self::Compare(..) => {}
            Self::Holds(name, arguments) => visit(name, arguments),
            Self::Not(inner) | Self::ForAll(_, inner) | Self::Exists(_, inner) => {
                inner.relations(visit);
            }
            Self::And(parts) | Self::Or(parts) => {
                parts.iter().for_each(|part| part.relations(visit));
            }
            Self::Implies(a, b) | Self::Iff(a, b) => {
                a.relations(visit);
                b.relations(visit);
            }
        }
    }
}

/// Why a text is no formula.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} at `{rest}`")]
pub struct SyntaxError {
    /// What is wrong.
    pub what: &'static str,
    /// Where: what is left to read.
    pub rest: String,
}

/// Reads a formula.
///
/// # Errors
/// If the text is none.
pub fn parse(text: &str) -> Result<Formula, SyntaxError> {
    let mut reader = Reader { rest: text.trim_start() };
    let formula = reader.formula()?;
    match reader.rest {
        "" => Ok(formula),
        _ => Err(reader.error("an end was expected")),
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn error(&self, what: &'static str) -> SyntaxError {
        SyntaxError { what, rest: self.rest.chars().take(40).collect() }
    }

    /// Takes a sign, if it comes next.
    fn take(&mut self, sign: &str) -> bool {
        let after = self.rest.strip_prefix(sign);
        // `<` is not the beginning of `<->` or `<=`, nor `-` of anything else.
        let longer = |after: &str| sign == "<" && after.starts_with(['-', '=']);
        match after.filter(|after| !longer(after)) {
            Some(after) => {
                self.rest = after.trim_start();
                true
            }
            None => false,
        }
    }

    fn word(&mut self) -> Result<String, SyntaxError> {
        let end = self.rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '\'');
        let (word, after) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        if word.is_empty() {
            return Err(self.error("a name was expected"));
        }
        self.rest = after.trim_start();
        Ok(word.to_owned())
    }

    fn formula(&mut self) -> Result<Formula, SyntaxError> {
        let left = self.implication()?;
        match self.take("<->") {
            true => Ok(Formula::Iff(Box::new(left), Box::new(self.implication()?))),
            false => Ok(left),
        }
    }

    fn implication(&mut self) -> Result<Formula, SyntaxError> {
        let left = self.disjunction()?;
        match self.take("->") {
            true => Ok(Formula::Implies(Box::new(left), Box::new(self.implication()?))),
            false => Ok(left),
        }
    }

    fn disjunction(&mut self) -> Result<Formula, SyntaxError> {
        let mut parts = vec![self.conjunction()?];
        while self.take("|") {
            parts.push(self.conjunction()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Formula::Or(parts) })
    }

    fn conjunction(&mut self) -> Result<Formula, SyntaxError> {
        let mut parts = vec![self.unary()?];
        while self.take("&") {
            parts.push(self.unary()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Formula::And(parts) })
    }

    fn unary(&mut self) -> Result<Formula, SyntaxError> {
        if self.take("(") {
            let inner = self.formula()?;
            return if self.take(")") { Ok(inner) } else { Err(self.error("`)` was expected")) };
        }
        if self.rest.starts_with('!') && !self.rest.starts_with("!=") {
            self.take("!");
            return Ok(self.unary()?.negated());
        }
        let word = self.word()?;
        match &*word {
            "true" => Ok(Formula::Constant(true)),
            "false" => Ok(Formula::Constant(false)),
            "forall" | "exists" => self.quantified(word == "forall"),
            _ if self.rest.starts_with('(') => self.relation(word),
            _ => self.comparison(Term(word)),
        }
    }

    fn quantified(&mut self, all: bool) -> Result<Formula, SyntaxError> {
        let mut variables = Vec::new();
        while !self.take(".") {
            let variable = self.word()?;
            if Sort::of(&variable).is_none() {
                return Err(self.error("no sort has variables with this letter, before"));
            }
            variables.push(variable);
        }
        let inner = Box::new(self.formula()?);
        Ok(if all { Formula::ForAll(variables, inner) } else { Formula::Exists(variables, inner) })
    }

    fn relation(&mut self, name: String) -> Result<Formula, SyntaxError> {
        self.take("(");
        let mut arguments = vec![Term(self.word()?)];
        while self.take(",") {
            arguments.push(Term(self.word()?));
        }
        if !self.take(")") {
            return Err(self.error("`)` was expected"));
        }
        Ok(Formula::Holds(name, arguments))
    }

    fn comparison(&mut self, left: Term) -> Result<Formula, SyntaxError> {
        let compare = |how, right| Formula::Compare(how, left.clone(), right);
        let formula = match () {
            () if self.take("!=") => compare(Comparison::Equal, Term(self.word()?)).negated(),
            () if self.take("<=") => compare(Comparison::AtMost, Term(self.word()?)),
            () if self.take("=") => compare(Comparison::Equal, Term(self.word()?)),
            () if self.take("<") => {
                let right = Term(self.word()?);
                let at_most = compare(Comparison::AtMost, right.clone());
                Formula::And(vec![at_most, compare(Comparison::Equal, right).negated()])
            }
            () => return Err(self.error("a comparison was expected")),
        };
        Ok(formula)
    }
}

impl fmt::Display for Formula {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let join = |f: &mut fmt::Formatter<'_>, parts: &[Self], sign: &str| {
            for (at, part) in parts.iter().enumerate() {
                write!(f, "{}({part})", if at == 0 { "" } else { sign })?;
            }
            Ok(())
        };
        match self {
            Self::Constant(value) => write!(f, "{value}"),
            Self::Holds(name, terms) => {
                let terms: Vec<&str> = terms.iter().map(|term| &*term.0).collect();
                write!(f, "{name}({})", terms.join(","))
            }
            Self::Compare(Comparison::Equal, a, b) => write!(f, "{} = {}", a.0, b.0),
            Self::Compare(Comparison::AtMost, a, b) => write!(f, "{} <= {}", a.0, b.0),
            Self::Not(inner) => write!(f, "!({inner})"),
            Self::And(parts) => join(f, parts, " & "),
            Self::Or(parts) => join(f, parts, " | "),
            Self::Implies(a, b) => write!(f, "({a}) -> ({b})"),
            Self::Iff(a, b) => write!(f, "({a}) <-> ({b})"),
            Self::ForAll(variables, inner) => write!(f, "forall {}. {inner}", variables.join(" ")),
            Self::Exists(variables, inner) => write!(f, "exists {}. {inner}", variables.join(" ")),
        }
    }
}
