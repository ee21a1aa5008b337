"""Find the small changes, the mutants, that can be made to one module.

Most operators are mutmut's. Three are added: a negated condition, a result replaced by None and a
call removed. Text that only readers and type checkers use is left as it is.
"""

import ast
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import libcst
from libcst.metadata import CodeRange, MetadataWrapper, PositionProvider
from mutmut.mutation.mutators import mutation_operators, operator_string

Operator = Callable[[Any], Iterable[libcst.CSTNode]]

UNTOUCHED = (libcst.Annotation, libcst.Decorator, libcst.Import, libcst.ImportFrom)
SHOWN_CHARACTERS = 120


@dataclass(frozen=True)
class Mutant:
    """One change to a module.

    `lines` are the lines of the statement that changes. A mutant outside of functions takes
    effect when the module is imported, so every test can notice it.
    """

    path: Path
    line: int
    lines: range
    in_function: bool
    before: str
    after: str
    source: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.before}  ->  {self.after}"


def mutants_of(root: Path, path: Path, at_most: int, seed: int) -> tuple[list[Mutant], int]:
    """Return a random sample of the mutants of one module, and the number of all of them.

    The same source, `at_most` and `seed` result in the same sample.
    """
    wrapper = MetadataWrapper(libcst.parse_module((root / path).read_text("utf-8")))
    finder = _Finder()
    wrapper.visit(finder)
    original = _program(wrapper.module.code)
    order = random.Random(f"{seed} {path}").sample(finder.found, len(finder.found))  # noqa: S311 - by seed
    sample: list[Mutant] = []
    for change in order:
        if len(sample) == at_most:
            break
        source = wrapper.module.deep_replace(change.node, change.replacement)
        assert isinstance(source, libcst.Module)  # noqa: S101 - only a module replaces a module
        if _program(source.code) not in (original, None):
            before = _shown(wrapper.module.code_for_node(change.node))
            after = _shown(wrapper.module.code_for_node(change.replacement))
            lines = range(change.start, change.end + 1)
            sample.append(
                Mutant(path, change.line, lines, change.in_function, before, after, source.code)
            )
    return sample, len(finder.found)


@dataclass(frozen=True)
class _Change:
    node: libcst.CSTNode
    replacement: libcst.CSTNode
    line: int
    start: int
    end: int
    in_function: bool


@dataclass
class _Scope:
    functions: int = 0
    statements: list[CodeRange] = field(default_factory=list)


class _Finder(libcst.CSTVisitor):
    METADATA_DEPENDENCIES = (PositionProvider,)

    def __init__(self) -> None:
        super().__init__()
        self.found: list[_Change] = []
        self._scope = _Scope()
        self._types: set[int] = set()

    def on_visit(self, node: libcst.CSTNode) -> bool:
        if id(node) in self._types or _is_for_readers(node):
            return False
        if isinstance(node, libcst.Call) and _is_named(node.func, "cast"):
            self._types.add(id(node.args[0]))
        elif isinstance(node, libcst.FunctionDef | libcst.Lambda):
            self._scope.functions += 1
        elif isinstance(node, libcst.SimpleStatementLine):
            self._scope.statements.append(self._position(node))
        for replacement in _replacements(node):
            self._add(node, replacement)
        return True

    def on_leave(self, original_node: libcst.CSTNode) -> None:
        if id(original_node) in self._types or _is_for_readers(original_node):
            return
        if isinstance(original_node, libcst.FunctionDef | libcst.Lambda):
            self._scope.functions -= 1
        elif isinstance(original_node, libcst.SimpleStatementLine):
            self._scope.statements.pop()

    def _add(self, node: libcst.CSTNode, replacement: libcst.CSTNode) -> None:
        line = self._position(node).start.line
        if self._scope.statements:
            place = self._scope.statements[-1]
        else:
            place = self._position(getattr(node, "test", node))
        start, end = min(line, place.start.line), place.end.line
        in_function = self._scope.functions > 0
        self.found.append(_Change(node, replacement, line, start, end, in_function))

    def _position(self, node: libcst.CSTNode) -> CodeRange:
        position = self.get_metadata(PositionProvider, node)
        assert isinstance(position, CodeRange)  # noqa: S101 - the provider's values are ranges
        return position


def _is_for_readers(node: libcst.CSTNode) -> bool:
    if isinstance(node, libcst.If):
        return _is_named(node.test, "TYPE_CHECKING")
    if isinstance(node, libcst.Subscript):
        return _is_named(node.value, "Literal")
    if isinstance(node, libcst.Expr):
        return isinstance(node.value, libcst.SimpleString)
    return isinstance(node, UNTOUCHED)


def _is_named(node: libcst.CSTNode, name: str) -> bool:
    return isinstance(node, libcst.Name) and node.value == name


def _replacements(node: libcst.CSTNode) -> Iterator[libcst.CSTNode]:
    if isinstance(node, libcst.Call) and _is_named(node.func, "cast"):
        return
    for kind, operator in OPERATORS:
        if isinstance(node, kind):
            results = list(operator(node))
            # mutmut changes a text in three ways; a test that checks it notices each of them
            yield from results[:1] if operator is operator_string else results


def _negated(node: libcst.If | libcst.While | libcst.CompIf) -> Iterator[libcst.CSTNode]:
    test = node.test.with_changes(
        lpar=[libcst.LeftParen(), *node.test.lpar], rpar=[*node.test.rpar, libcst.RightParen()]
    )
    yield node.with_changes(test=libcst.UnaryOperation(libcst.Not(), test))


def _without_result(node: libcst.Return) -> Iterator[libcst.CSTNode]:
    if node.value is not None and not _is_named(node.value, "None"):
        yield libcst.Return(libcst.Name("None"))


def _removed(node: libcst.Expr) -> Iterator[libcst.CSTNode]:
    if isinstance(node.value, libcst.Call):
        yield libcst.Pass()


OPERATORS: Sequence[tuple[type | tuple[type, ...], Operator]] = (
    *mutation_operators,
    ((libcst.If, libcst.While, libcst.CompIf), _negated),
    (libcst.Return, _without_result),
    (libcst.Expr, _removed),
)


def _program(source: str) -> str | None:
    """Return the syntax tree of `source` as text, or None if `source` is not valid Python."""
    try:
        return ast.dump(ast.parse(source))
    except SyntaxError:
        return None


def _shown(code: str) -> str:
    text = " ".join(line.strip() for line in code.strip().splitlines())
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."
