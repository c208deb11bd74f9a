#!/usr/bin/env python3
"""The mutants of pbft-core that cargo-mutants lists, all in one build, each behind a switch: see docs/mutation.md.

    mutants.py switch LIST.json SAMPLE.json [SIZE]   rewrites impl/core/src; needs tree-sitter and tree-sitter-rust
    mutants.py run LIST.json SAMPLE.json TEST        runs the tests once for each; a line of JSON each

LIST.json is what `cargo mutants --list --json` prints. SAMPLE.json is written by the first command, and read by it if it
is there: `unviable` in it are the numbers of mutants that do not compile. The compiler's errors name them, one after the
other: the last switch before the place of the error.
"""

import collections
import json
import multiprocessing.pool
import os
import random
import resource
import subprocess
import sys

SEED = 20261121
PROCESSOR_SECONDS = 40
SWITCH = """
static MUTANT: std::sync::LazyLock<Option<u32>> =
    std::sync::LazyLock::new(|| std::env::var("PBFT_MUTANT").ok()?.parse().ok());

pub(crate) fn is_mutant(number: u32) -> bool {
    *MUTANT == Some(number)
}
"""


def on(number):
    return f"crate::is_mutant({number})"


class Source:
    """A file, and the mutants at its syntax nodes."""

    def __init__(self, path, parser):
        self.path = path
        self.text = open(path, "rb").read()
        self.root = parser.parse(self.text).root_node
        self.nodes = []
        self.mutants = collections.defaultdict(list)
        stack = [self.root]
        while stack:
            node = stack.pop()
            self.nodes.append(node)
            stack.extend(node.children)

    def offset(self, place):
        lines = self.text.split(b"\n")
        before = sum(len(line) + 1 for line in lines[: place["line"] - 1])
        line = lines[place["line"] - 1].decode()
        return before + len(line[: place["column"] - 1].encode())

    def slice(self, start, end):
        return self.text[start:end].decode()

    def find(self, mutant):
        """The node that a mutant changes; None if this cannot be switched."""
        start, end = (self.offset(mutant["span"][at]) for at in ("start", "end"))
        best = None
        for node in self.nodes:
            kind, genre = node.type, mutant["genre"]
            field = node.child_by_field_name
            if genre == "BinaryOperator" and kind in ("binary_expression", "compound_assignment_expr"):
                if field("operator").start_byte == start:
                    best = node
            elif genre == "UnaryOperator" and kind == "unary_expression" and node.start_byte == start:
                best = node
            elif genre == "MatchArmGuard" and kind == "match_pattern":
                if field("condition") and field("condition").start_byte == start:
                    best = node
            elif genre == "MatchArm" and kind == "match_arm" and node.start_byte == start:
                best = field("pattern")
            elif genre == "FnValue" and kind == "function_item" and field("body"):
                body = field("body")
                if body.start_byte <= start and end <= body.end_byte:
                    if best is None or body.start_byte > best.start_byte:
                        best = body
        is_chain = best is not None and best.type == "binary_expression"
        if is_chain and b"let " in self.text[best.start_byte : best.end_byte]:
            return None
        return best

    def render(self, node):
        mutants = self.mutants.get(node.id)
        if not mutants:
            return self.plain(node)
        if node.type in ("binary_expression", "compound_assignment_expr"):
            left, operator, right = (
                node.child_by_field_name(name) for name in ("left", "operator", "right")
            )
            left, right = self.render(left), f"({self.render(right)})"
            if node.type == "binary_expression":
                left = f"({left})"
            operator = self.slice(operator.start_byte, operator.end_byte)
            switched = "".join(
                f"if {on(number)} {{ {left} {mutant['replacement']} {right} }} else "
                for number, mutant in mutants
            )
            return f"({switched}{{ {left} {operator} {right} }})"
        if node.type == "unary_expression":
            operand = self.render(node.children[-1])
            operator = self.slice(node.children[0].start_byte, node.children[0].end_byte)
            return f"(if {on(mutants[0][0])} {{ {operand} }} else {{ {operator}({operand}) }})"
        if node.type == "match_pattern":
            return self.guarded(node, mutants)
        returns = "".join(
            f" if {on(number)} {{ return {mutant['replacement']}; }}" for number, mutant in mutants
        )
        return "{" + returns + self.plain(node)[1:]

    def guarded(self, node, mutants):
        condition = node.child_by_field_name("condition")
        if condition is None:
            return self.plain(node) + " if " + " && ".join(f"!{on(n)}" for n, _ in mutants)
        guard = f"({self.render(condition)})"
        for number, mutant in mutants:
            is_true = mutant["genre"] == "MatchArmGuard" and mutant["replacement"] == "true"
            guard = f"({on(number)} || {guard})" if is_true else f"(!{on(number)} && {guard})"
        return self.slice(node.start_byte, condition.start_byte) + guard

    def plain(self, node):
        text, at = "", node.start_byte
        for child in node.children:
            text += self.slice(at, child.start_byte) + self.render(child)
            at = child.end_byte
        return text + self.slice(at, node.end_byte)

    def write(self):
        rest = self.slice(self.root.end_byte, len(self.text))
        head = self.slice(0, self.root.start_byte)
        with open(self.path, "w") as file:
            file.write(head + self.plain(self.root) + rest)


def switch(list_file, sample_file, size="250"):
    import tree_sitter_rust
    from tree_sitter import Language, Parser

    parser = Parser(Language(tree_sitter_rust.language()))
    mutants = json.load(open(list_file))
    known = json.load(open(sample_file)) if os.path.exists(sample_file) else {}
    order = list(range(len(mutants)))
    random.Random(SEED).shuffle(order)
    unviable = known.get("unviable", [])
    sources, chosen, untried = {}, [], []
    for number in order[: int(size)]:
        mutant = mutants[number]
        path = mutant["file"]
        source = sources.setdefault(path, None) or Source(path, parser)
        sources[path] = source
        node = source.find(mutant)
        if number in unviable:
            continue
        if node is None:
            untried.append(number)
            continue
        source.mutants[node.id].append((number, mutant))
        chosen.append(number)
    for source in sources.values():
        source.write()
    with open("impl/core/src/lib.rs", "a") as file:
        file.write(SWITCH)
    sample = {"chosen": chosen, "untried": untried, "unviable": unviable, "of": len(mutants)}
    json.dump(sample, open(sample_file, "w"))
    print({name: len(value) for name, value in sample.items() if name != "of"}, file=sys.stderr)


def run(list_file, sample_file, test):
    mutants = json.load(open(list_file))
    limit = lambda: resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_SECONDS,) * 2)
    counts = collections.Counter()
    listed = subprocess.run([test, "--list", "--format", "terse"], capture_output=True, text=True)
    names = [line.split(": ")[0] for line in listed.stdout.splitlines() if line.endswith(": test")]

    def result_of(number):
        environment = dict(os.environ, PBFT_MUTANT=str(number), RUST_BACKTRACE="0")
        # In the order of the alphabet: the fast one first, those that take seconds last.
        for name in sorted(names):
            done = subprocess.run(
                [test, name, "--exact"],
                env=environment,
                cwd="conformance",
                capture_output=True,
                text=True,
                preexec_fn=limit,
            )
            if done.returncode != 0:
                result = "caught" if done.returncode == 101 else "timeout"
                return number, result, why(done.stdout)
        return number, "missed", None

    with multiprocessing.pool.ThreadPool(int(os.environ.get("JOBS", "1"))) as pool:
        chosen = json.load(open(sample_file))["chosen"]
        for number, result, reason in pool.imap(result_of, chosen):
            counts[result] += 1
            line = {"mutant": mutants[number]["name"], "result": result, "by": reason}
            print(json.dumps(line), flush=True)
    print(dict(counts), file=sys.stderr)


def why(output):
    """What the report says: its first line of substance."""
    lines = [line.strip() for line in output.splitlines()]
    found = [line for line in lines if line.startswith("replica ") or "panicked at" in line]
    return found[-1] if found else None


if __name__ == "__main__":
    if len(sys.argv) < 4 or sys.argv[1] not in ("switch", "run"):
        sys.exit(__doc__)
    {"switch": switch, "run": run}[sys.argv[1]](*sys.argv[2:])
