//! The two ways in which conjuncts speak of all quorums or of some.

use crate::formula::{Formula, Sort};

/// `forall Q. A -> B` is `A -> forall Q. B` where A does not speak of Q, and `forall Q. exists N in Q. F` says that the honest
/// members of no quorum are all without F.
pub(super) fn quorums_inward(
    variables: &[String],
    given: &[&Formula],
    then: Formula,
) -> (Vec<String>, Formula) {
    let is_quorum = |one: &&String| Sort::of(one) == Some(Sort::Quorum);
    let speaks = |quorum: &str| given.iter().any(|part| part.mentions(quorum));
    let inward = variables.iter().find(|one| is_quorum(one) && !speaks(one));
    let (Some(quorum), Formula::Exists(members, inner)) = (inward, &then) else {
        return (variables.to_vec(), then);
    };
    let [member] = &**members else { return (variables.to_vec(), then) };
    let (of, rest): (Vec<&Formula>, Vec<&Formula>) =
        inner.conjunction().into_iter().partition(|part| is_member(part, member, quorum));
    if of.len() != 2 || rest.iter().any(|part| part.mentions(quorum)) {
        return (variables.to_vec(), then);
    }
    let rest = Formula::And(rest.into_iter().cloned().collect()).negated();
    let of = Formula::And(of.into_iter().cloned().collect());
    let each = Formula::Implies(Box::new(of), Box::new(rest));
    let all = Formula::ForAll(vec![member.clone()], Box::new(each));
    let some = Formula::Exists(vec![quorum.clone()], Box::new(all));
    let others = variables.iter().filter(|one| *one != quorum).cloned().collect();
    (others, some.negated())
}

/// `honest(N)`, or `member(N,Q)`.
fn is_member(formula: &Formula, member: &str, quorum: &str) -> bool {
    let Formula::Holds(name, terms) = formula else { return false };
    let terms: Vec<&str> = terms.iter().map(|term| &*term.0).collect();
    match &**name {
        "honest" => *terms == [member],
        "member" => *terms == [member, quorum],
        _ => false,
    }
}

/// `exists Q. forall N. member(N,Q) & honest(N) -> F`: N and F.
pub(super) fn quorum_of(variables: &[String], inner: &Formula) -> Option<(String, Formula)> {
    let [quorum] = variables else { return None };
    let Formula::ForAll(members, body) = inner else { return None };
    let ([member], Formula::Implies(of, each)) = (&**members, &**body) else { return None };
    let of = of.conjunction();
    let each_is = of.len() == 2 && of.iter().all(|part| is_member(part, member, quorum));
    (Sort::of(quorum) == Some(Sort::Quorum) && each_is && !each.mentions(quorum))
        .then(|| (member.clone(), (**each).clone()))
}
