"""The changes of a module that cosmic-ray knows, and which functions each of them changes. Pure."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from inspect import CO_OPTIMIZED
from types import CodeType
from typing import Any, TypeAlias

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.plugins import get_operator, operator_names

Place: TypeAlias = tuple[str, int]
"""A function: its qualified name, and its first line."""

Span: TypeAlias = tuple[tuple[int, int], tuple[int, int]]
"""From where to where in a source: rows from 1, columns from 0."""

DECORATORS = ("abstractmethod", "override", "overload", "final", "lru_cache")
"""Decorators that leave what a function does as it is: mypy reads them, or they save time."""


@dataclass(frozen=True)
class Change:
    """One change of a module.

    Attributes:
        operator: of cosmic-ray.
        rows: the lines of the statement that it changes; of a compound statement, those of its header.
        line: the line that it changes.
        becomes: that line with the change; empty if it is removed.
        source: the whole module with the change.
    """

    operator: str
    rows: range
    line: str
    becomes: str
    source: str = field(repr=False)


def changes(source: str) -> Iterator[Change]:
    """Yield every change of a module but those that no test can notice; some do not compile, or to the same program."""
    tree, headers = get_ast(source), _headers(source)
    left_out = [*_not_executed(ast.parse(source)), *_bare_markers(tree)]
    for name in operator_names():
        if get_operator(name).arguments():
            continue
        operator = get_operator(name)()
        for node in list(ast_nodes(tree)):
            for index, (start, _) in enumerate(operator.mutation_positions(node)):
                row = start[0]
                if any(first <= start < last for first, last in left_out):
                    continue
                changed = _changed(source, node, operator, index)
                becomes = "" if name.endswith("RemoveDecorator") else _text(changed, row)
                inside = min((each for each in headers if row in each), key=len, default=range(row, row + 1))
                yield Change(name, inside, _text(source, row), becomes, changed)


def changed_functions(before: CodeType, source: str) -> Mapping[Place, CodeType] | None:
    """Return the code of the functions that a change changes; None if it changes the module or a class itself.

    Args:
        before: the module without the change.
        source: the module with the change.

    Raises:
        SyntaxError: it does not compile.
    """
    return _functions(before, compile(source, before.co_filename, "exec"))


def _changed(source: str, node: Any, operator: Any, index: int) -> str:
    """Return the source with one node changed; the tree stays as it is."""
    lines = source.splitlines(keepends=True)

    def offset(position: tuple[int, int]) -> int:
        return sum(len(line) for line in lines[: position[0] - 1]) + position[1]

    start, end = offset(node.get_start_pos_of_prefix()), offset(node.end_pos)
    kept = [
        (each, name, getattr(each, name))
        for each in ast_nodes(node)
        for name in ("value", "children")
        if hasattr(each, name)
    ]
    kept = [(each, name, list(what) if name == "children" else what) for each, name, what in kept]
    changed = operator.mutate(node, index)
    text = "" if changed is None else changed.get_code()
    for each, name, what in kept:
        setattr(each, name, what)
    return source[:start] + text + source[end:]


def _text(source: str, row: int) -> str:
    """Return a line with single spaces, whatever spaces an operator put into it."""
    return " ".join(source.splitlines()[row - 1].split())


def _headers(source: str) -> list[range]:
    """Return the lines of each statement; of a compound statement, those before its body."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.stmt | ast.excepthandler | ast.match_case):
            first = node.pattern if isinstance(node, ast.match_case) else node
            body = getattr(node, "body", None)
            last = body[0].lineno - 1 if body else first.end_lineno or first.lineno
            found.append(range(first.lineno, max(first.lineno, last) + 1))
    return found


def _not_executed(tree: ast.AST) -> Iterator[Span]:
    """Yield where annotations are, decorators that change nothing, and ``slots=True``, which only saves memory."""
    for node in ast.walk(tree):
        for name in ("annotation", "returns"):
            if (each := getattr(node, name, None)) is not None:
                yield _span(each)
        if isinstance(node, ast.keyword) and node.arg == "slots":
            yield _span(node)
        in_protocol = isinstance(node, ast.ClassDef) and any("Protocol" in ast.unparse(base) for base in node.bases)
        for member in node.body if isinstance(node, ast.Module | ast.ClassDef) else ():
            for each in getattr(member, "decorator_list", ()):
                if in_protocol or ast.unparse(each).partition("(")[0] in DECORATORS:
                    (row, column), end = _span(each)
                    yield (row, column - len("@")), end


def _bare_markers(tree: Any) -> Iterator[Span]:
    """Yield where ``*`` and ``/`` stand alone in the parameters of a function: mypy checks who passes what by name."""
    for node in ast_nodes(tree):
        if node.type == "operator" and node.value in ("*", "/") and node.parent.type in ("parameters", "lambdef"):
            yield node.start_pos, node.end_pos


def _span(node: Any) -> Span:
    return (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)


def _nested(code: CodeType) -> list[CodeType]:
    return [each for each in code.co_consts if isinstance(each, CodeType)]


def _own(code: CodeType) -> tuple[object, ...]:
    """Return what code does, without the code in it, and wherever its lines are."""
    constants = repr([each for each in code.co_consts if not isinstance(each, CodeType)])
    names = code.co_name, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars
    counts = code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags
    return code.co_code, constants, names, counts, code.co_exceptiontable


def _content(code: CodeType) -> tuple[object, ...]:
    return _own(code), tuple(_content(each) for each in _nested(code))


def _functions(before: CodeType, after: CodeType) -> Mapping[Place, CodeType] | None:
    if before.co_flags & CO_OPTIMIZED:
        if _content(before) == _content(after):
            return {}
        own = {(before.co_qualname, before.co_firstlineno): after}
    elif _own(before) != _own(after):
        return None
    else:
        own = {}
    for one, other in zip(_nested(before), _nested(after), strict=False):
        inner = _functions(one, other)
        if inner is None:
            return None
        own |= inner
    return own
