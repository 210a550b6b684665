"""Lists what is public with its signatures, one a line: ``python -m tests.docs.public_api`` writes ``public_api.txt``.

Public is what ``docs/reference/public.md`` lists. A line that is gone or has changed can break somebody's program, so a
change of the file is what a reviewer looks at. Signatures are written as in the source.
"""

import ast
import dataclasses
import enum
import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
LISTING = Path(__file__).with_suffix(".txt")
PAGE = ROOT / "docs" / "reference" / "public.md"
_MODULE = re.compile(r"^\| `(daypass[a-z_.]*)` \| `.*` \|$", re.MULTILINE)
_OPTIONS = re.compile(r"\*\*\w+: Unpack\[(\w+)\]")


def lines() -> list[str]:
    """Return each public name with its signature, the public members of classes, and the options that ``**`` takes."""
    modules = {name: importlib.import_module(name) for name in ("daypass", *_MODULE.findall(PAGE.read_text("utf-8")))}
    public = {f"{name}.{each}": getattr(module, each) for name, module in modules.items() for each in module.__all__}
    classes = {each for each in public.values() if inspect.isclass(each)}
    return sorted({line for name, each in public.items() for line in _described(name, each, classes)})


def _described(name: str, each: Any, classes: set[type]) -> Iterator[str]:
    if inspect.isclass(each):
        yield from _class(name, each, classes - {each})
    elif inspect.isroutine(each):
        yield from _callable(name, each)
    else:
        yield f"{name}: {type(each).__name__}"


def _class(name: str, each: type, others: set[type]) -> Iterator[str]:
    """Yield what a class has; what it inherits from another public class is listed there."""
    yield f"{name}: {', '.join(base.__name__ for base in each.__bases__)}"
    if dataclasses.is_dataclass(each):
        yield f"{name}({', '.join(_field(field) for field in dataclasses.fields(each) if field.init)})"
    elif inspect.isfunction(each.__init__) and _is_ours(each.__init__):  # type: ignore[misc]  # of this very class
        yield from _callable(name, each.__init__)  # type: ignore[misc]  # as above
    for member in dir(each):
        owner = next((base for base in each.__mro__ if member in vars(base)), type)
        if not member.startswith(("_", "test_")) and _is_ours(owner) and owner not in others:
            yield from _member(f"{name}.{member}", vars(owner)[member])


def _member(name: str, member: Any) -> Iterator[str]:
    function = getattr(member, "__func__", getattr(member, "fget", getattr(member, "func", member)))
    if isinstance(member, enum.Enum):
        yield f"{name} = {member.value!r}"
    elif not inspect.isfunction(function):
        yield f"{name}: {'attribute' if inspect.isdatadescriptor(member) else type(member).__name__}"
    elif isinstance(member, property | cached_property):
        yield f"{name}: {_text(_source(function).returns)}"
    else:
        yield from _callable(name, function)


def _callable(name: str, function: Any) -> Iterator[str]:
    source = _source(function)
    arguments = _text(source.args).removeprefix("self, ").removeprefix("cls, ")
    kind = "async " if isinstance(source, ast.AsyncFunctionDef) else ""
    result = "" if source.name == "__init__" else f" -> {_text(source.returns)}"
    yield f"{name}: {kind}({'' if arguments in ('self', 'cls') else arguments}){result}"
    for options in _OPTIONS.findall(arguments):
        typed = inspect.unwrap(function).__globals__[options]
        yield from (f"{options}[{key!r}]: {_text(value)}" for key, value in _annotations(typed).items())


def _is_ours(each: Any) -> bool:
    return str(each.__module__).startswith("daypass")


def _field(field: "dataclasses.Field[Any]") -> str:
    optional = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
    return f"{field.name}{'?' if optional else ''}"


def _annotations(typed: type) -> dict[str, ast.expr]:
    """Return the annotated names of a class and of those that it extends."""
    found: dict[str, ast.expr] = {}
    for each in reversed(getattr(typed, "__orig_bases__", typed.__mro__)):
        if inspect.isclass(each) and _is_ours(each):
            found |= _annotations(each)
    tree = ast.parse(textwrap.dedent(inspect.getsource(typed))).body[0]
    assert isinstance(tree, ast.ClassDef)
    return found | {
        node.target.id: node.annotation
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }


def _source(function: Any) -> ast.FunctionDef | ast.AsyncFunctionDef:
    tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function)))).body[0]
    assert isinstance(tree, ast.FunctionDef | ast.AsyncFunctionDef)
    return tree


def _text(node: ast.AST | None) -> str:
    return "None" if node is None else ast.unparse(node)


if __name__ == "__main__":
    LISTING.write_text("\n".join([*lines(), ""]), encoding="utf-8")
