//! What is done to a place: the operators that weaken or turn round a rule, and where a source file has room for each.

use std::ops::Range;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{BinOp, Expr, Stmt};

/// A way to change a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operator {
    /// One of the conditions that must all hold is not asked for.
    Conjunct,
    /// One of the conditions of which one must hold is not there.
    Disjunct,
    /// A bound is moved by one: `<` and `<=`, `>` and `>=`.
    Comparison,
    /// What must be equal must differ, and the reverse.
    Equality,
    /// The least is taken for the greatest, or the first for the last.
    Extreme,
    /// Some are enough where all are asked for, and the reverse.
    Quantifier,
    /// What is in both sets is taken for what is in either.
    Set,
    /// One more or one less is neither.
    One,
    /// A case that is left at once is not left.
    Guard,
    /// What is done under a condition is done always.
    Condition,
    /// The condition of an arm of a match is not asked for.
    Arm,
    /// Nothing is left out of what is gone through.
    Filter,
    /// A check of a rule always passes.
    Check,
    /// A part of a step is not taken.
    Statement,
}

impl Operator {
    /// How a mutant is called after it, with the number of the place between the two words.
    pub(super) const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Conjunct => ("conjunct", "dropped"),
            Self::Disjunct => ("disjunct", "dropped"),
            Self::Comparison => ("comparison", "shifted"),
            Self::Equality => ("equality", "negated"),
            Self::Extreme => ("extreme", "exchanged"),
            Self::Quantifier => ("quantifier", "exchanged"),
            Self::Set => ("sets", "exchanged"),
            Self::One => ("one", "dropped"),
            Self::Guard => ("guard", "removed"),
            Self::Condition => ("condition", "always"),
            Self::Arm => ("arm", "always"),
            Self::Filter => ("filter", "removed"),
            Self::Check => ("check", "passes"),
            Self::Statement => ("statement", "removed"),
        }
    }
}

/// A change of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Edit {
    pub(super) operator: Operator,
    /// Which bytes are replaced.
    pub(super) range: Range<usize>,
    /// By what.
    pub(super) new: String,
}

/// Methods that are taken for each other.
const EXCHANGED: [(&str, &str, Operator); 6] = [
    ("max", "min", Operator::Extreme),
    ("max_by_key", "min_by_key", Operator::Extreme),
    ("rfind", "find", Operator::Extreme),
    ("first", "last", Operator::Extreme),
    ("all", "any", Operator::Quantifier),
    ("union", "intersection", Operator::Set),
];

/// The function whose first argument is what a rule asks for.
const CHECK: &str = "ensure";

/// All changes of a source file, in the order of their places.
pub(super) fn edits(source: &str) -> syn::Result<Vec<Edit>> {
    let mut finder = Finder { source, edits: Vec::new(), else_ifs: Vec::new() };
    finder.visit_file(&syn::parse_str(source)?);
    finder.edits.sort_by_key(|edit| (edit.range.start, edit.range.end));
    Ok(finder.edits)
}

struct Finder<'a> {
    source: &'a str,
    edits: Vec<Edit>,
    /// Where an `if` begins that stands after an `else`, without which that means nothing.
    else_ifs: Vec<usize>,
}

impl Finder<'_> {
    fn edit(&mut self, operator: Operator, range: Range<usize>, new: impl Into<String>) {
        self.edits.push(Edit { operator, range, new: new.into() });
    }

    fn text(&self, part: &impl Spanned) -> &str {
        &self.source[part.span().byte_range()]
    }

    /// Conditions that are joined: each but the ones that name something, which the others may need.
    fn chain(&mut self, operator: Operator, whole: &syn::ExprBinary) {
        let mut operands = Vec::new();
        flatten(&whole.left, &whole.op, &mut operands);
        flatten(&whole.right, &whole.op, &mut operands);
        let joint = if operator == Operator::Conjunct { " && " } else { " || " };
        for (at, operand) in operands.iter().enumerate() {
            if !matches!(operand, Expr::Let(_)) {
                let others = operands.iter().enumerate().filter(|(other, _)| *other != at);
                let others: Vec<&str> = others.map(|(_, one)| self.text(one)).collect();
                self.edit(operator, whole.span().byte_range(), others.join(joint));
            }
        }
        operands.into_iter().for_each(|operand| self.visit_expr(operand));
    }

    /// A comparison or a sum.
    fn operation(&mut self, whole: &syn::ExprBinary) {
        let (operator, other) = match whole.op {
            BinOp::Lt(_) => (Operator::Comparison, "<="),
            BinOp::Le(_) => (Operator::Comparison, "<"),
            BinOp::Gt(_) => (Operator::Comparison, ">="),
            BinOp::Ge(_) => (Operator::Comparison, ">"),
            BinOp::Eq(_) => (Operator::Equality, "!="),
            BinOp::Ne(_) => (Operator::Equality, "=="),
            BinOp::Add(_) | BinOp::Sub(_) if self.text(&whole.right) == "1" => {
                let left = self.text(&whole.left).to_owned();
                return self.edit(Operator::One, whole.span().byte_range(), left);
            }
            _ => return,
        };
        let new = format!("{} {other} {}", self.text(&whole.left), self.text(&whole.right));
        self.edit(operator, whole.span().byte_range(), new);
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_expr_binary(&mut self, whole: &'ast syn::ExprBinary) {
        match whole.op {
            BinOp::And(_) => self.chain(Operator::Conjunct, whole),
            BinOp::Or(_) => self.chain(Operator::Disjunct, whole),
            _ => {
                self.operation(whole);
                visit::visit_expr_binary(self, whole);
            }
        }
    }

    fn visit_expr_if(&mut self, whole: &'ast syn::ExprIf) {
        let range = whole.span().byte_range();
        if let Some((_, other)) = &whole.else_branch {
            self.else_ifs.push(other.span().byte_range().start);
        }
        let may_go = !names_something(&whole.cond) && !self.else_ifs.contains(&range.start);
        // One that names something cannot go, and one of several is dropped alone.
        let is_plain = !matches!(&*whole.cond, Expr::Let(_)) && !is_chain(&whole.cond);
        match (&whole.else_branch, leaves_at_once(&whole.then_branch)) {
            (None, true) if may_go => self.edit(Operator::Guard, range, ""),
            (None, false) if is_plain => {
                self.edit(Operator::Condition, whole.cond.span().byte_range(), "true");
            }
            _ => {}
        }
        visit::visit_expr_if(self, whole);
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        if let Some((keyword, guard)) = &arm.guard {
            let range = keyword.span().byte_range().start..guard.span().byte_range().end;
            self.edit(Operator::Arm, range, "");
        }
        visit::visit_arm(self, arm);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        let name = call.method.to_string();
        let range = call.dot_token.span().byte_range().start..call.span().byte_range().end;
        if name == "filter" {
            self.edit(Operator::Filter, range.clone(), "");
        }
        let others = EXCHANGED.into_iter().filter_map(|(one, other, operator)| {
            let other = if name == one { Some(other) } else { (name == other).then_some(one) };
            other.map(|other| (operator, other))
        });
        for (operator, other) in others {
            let arguments = &self.source[call.method.span().byte_range().end..range.end];
            self.edit(operator, range.clone(), format!(".{other}{arguments}"));
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        if is_check(call)
            && let Some(asked) = call.args.first()
        {
            self.edit(Operator::Check, asked.span().byte_range(), "true");
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_stmt(&mut self, statement: &'ast Stmt) {
        if let Stmt::Expr(expression, Some(_)) = statement
            && is_a_part_of_a_step(expression)
        {
            self.edit(Operator::Statement, statement.span().byte_range(), "");
        }
        visit::visit_stmt(self, statement);
    }
}

/// What is joined by one operator, from left to right.
fn flatten<'ast>(part: &'ast Expr, op: &BinOp, operands: &mut Vec<&'ast Expr>) {
    match part {
        Expr::Binary(inner)
            if matches!((&inner.op, op), (BinOp::And(_), BinOp::And(_)))
                || matches!((&inner.op, op), (BinOp::Or(_), BinOp::Or(_))) =>
        {
            flatten(&inner.left, op, operands);
            flatten(&inner.right, op, operands);
        }
        _ => operands.push(part),
    }
}

fn is_chain(condition: &Expr) -> bool {
    matches!(condition, Expr::Binary(whole) if matches!(whole.op, BinOp::And(_)))
}

fn names_something(condition: &Expr) -> bool {
    match condition {
        Expr::Let(_) => true,
        Expr::Binary(whole) if matches!(whole.op, BinOp::And(_)) => {
            names_something(&whole.left) || names_something(&whole.right)
        }
        _ => false,
    }
}

/// Whether a block only leaves what is around it.
fn leaves_at_once(block: &syn::Block) -> bool {
    let leaves = |expression: &Expr| {
        matches!(expression, Expr::Return(_) | Expr::Continue(_) | Expr::Break(_))
    };
    matches!(&block.stmts[..], [Stmt::Expr(expression, _)] if leaves(expression))
}

fn is_check(call: &syn::ExprCall) -> bool {
    matches!(&*call.func, Expr::Path(path) if path.path.is_ident(CHECK))
}

/// Whether something is changed or asked for its own sake. A check is no part: it can pass.
fn is_a_part_of_a_step(expression: &Expr) -> bool {
    match expression {
        Expr::Assign(_) | Expr::MethodCall(_) | Expr::Call(_) => true,
        Expr::Try(inner) => !matches!(&*inner.expr, Expr::Call(call) if is_check(call)),
        Expr::Binary(whole) => !matches!(whole.op, BinOp::And(_) | BinOp::Or(_)),
        _ => false,
    }
}
