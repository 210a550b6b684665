"""Gather what the documentation site is built from: the pages of docs/, and the reference, which is made from the code.

    python site/pages.py build/site

The pages stay readable in the repository: links to files outside of docs/ lead to the repository on the site, and each
page of the reference that is made here has a place in ``nav`` of site/zensical.toml. What a page has in a comment that
begins with ``on the site`` is shown only there, such as links to the reference.
"""

import argparse
import importlib
import os
import re
import shutil
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import typescript
from sequence import drawn

from daypass import cli
from daypass.web.openapi import AUTH, METADATA, OAUTH, WELL_KNOWN, document

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PUBLIC = DOCS / "reference" / "public.md"
AREAS = {
    "issuer": ("Issuer, verifier and errors", ("daypass", "daypass.watching")),
    "web": ("Frameworks", ("daypass.web",)),
    "stores": ("Stores", ("daypass.stores",)),
    "client": ("Client", ("daypass.client",)),
    "testing": ("Testing", ("daypass.testing",)),
    "migrate": ("Move from another library", ("daypass.migrate",)),
}
"""The pages of the Python reference: their titles, and the modules on them with all below those."""

_LINK = re.compile(r"(\]\()(?!https?:|#|mailto:)([^)#\s]+)(#[^)]*)?(\))")
HTTP = """
The ready-made service serves this as an OpenAPI 3.1 document at `/openapi.json`, and FastAPI as part of its own.
[HTTP](../http.md) says how the endpoints work together.
"""

_ONLY_HERE = re.compile(r"<!-- on the site\n(.*?)-->\n", re.DOTALL)
_DIAGRAM = re.compile(r"^```mermaid\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LISTED = re.compile(r"^\| `(daypass[\w.]*)` \|", re.MULTILINE)


def main(folder: Path) -> None:
    """Write all pages into ``folder/pages``, and the configuration beside them."""
    target = folder / "pages"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    shutil.copyfile(ROOT / "site" / "zensical.toml", folder / "zensical.toml")
    for page in sorted(DOCS.rglob("*")):
        if page.is_file():
            place = target / page.relative_to(DOCS)
            place.parent.mkdir(parents=True, exist_ok=True)
            if page.suffix == ".md":
                place.write_text(on_site(page), encoding="utf-8")
            else:
                shutil.copyfile(page, place)
    made = {
        "changelog.md": on_site(ROOT / "CHANGELOG.md"),
        "reference/command.md": command_page(),
        "reference/http-api.md": http_page(),
        "reference/javascript.md": typescript.page(ROOT / "js" / "dist"),
        **{f"reference/python/{area}.md": python_page(area) for area in AREAS},
    }
    shutil.copyfile(ROOT / "site" / "site.css", target / "site.css")
    shutil.copytree(ROOT / "site" / "theme", folder / "theme", dirs_exist_ok=True)
    for name, text in made.items():
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")


def on_site(page: Path) -> str:
    """Return a page as the site has it: with diagrams drawn, and links to the repository for files outside of docs/."""
    repository = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Source"]

    def link(found: re.Match[str]) -> str:
        begin, path, anchor, end = found[1], found[2], found[3] or "", found[4]
        there = (page.parent / path).resolve()
        if there.is_relative_to(DOCS):
            inside = there.relative_to(DOCS) if page.is_relative_to(DOCS) else None
            return found[0] if inside is not None else f"{begin}{there.relative_to(DOCS)}{anchor}{end}"
        kind = "tree" if there.is_dir() else "blob"
        return f"{begin}{repository}/{kind}/main/{there.relative_to(ROOT)}{anchor}{end}"

    text = _ONLY_HERE.sub(r"\1", page.read_text(encoding="utf-8"))
    return _DIAGRAM.sub(lambda found: drawn(found[1]), _LINK.sub(link, text))


# ---- Python


def python_page(area: str) -> str:
    """Return the page of an area: each public module with its public names, from their docstrings."""
    title, roots = AREAS[area]
    parts = [f"# {title}\n"]
    for module in _modules():
        if any(module == root or (module.startswith(f"{root}.") and root != "daypass") for root in roots):
            parts += [f"## `{module}`\n", *(_entry(module, name) for name in _names(module))]
    return "\n".join(parts)


def _modules() -> Sequence[str]:
    """Return the modules with public names, as docs/reference/public.md lists them."""
    listed = {name for name in _LISTED.findall(PUBLIC.read_text()) if _is_module(name)}
    return sorted(listed | {"daypass"})


def _is_module(name: str) -> bool:
    return not name.rpartition(".")[2][:1].isupper() and name.count(".") > 0 and _found(name) is not None


def _found(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        return None


def _names(module: str) -> Iterator[str]:
    return iter(sorted(importlib.import_module(module).__all__))


def _entry(module: str, name: str) -> str:
    return f"::: {module}.{name}\n"


# ---- the command


def command_page() -> str:
    """Return the help of each command, as it is printed."""
    os.environ["COLUMNS"] = "100"  # argparse wraps by it
    parts = ["# The `daypass` command\n", "Each command prints this with `--help`.\n"]
    for words, parser in _commands("daypass", cli.parser_of()):
        parts.append(f"## `{words}`\n\n```text\n{parser.format_help().rstrip()}\n```\n")
    return "\n".join(parts)


def _commands(words: str, parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    parser.prog = words
    yield words, parser
    for action in parser._actions:  # noqa: SLF001 - there is no public way to ask
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - as above
            seen: set[int] = set()
            for name, inner in action.choices.items():
                if id(inner) not in seen:  # the others are aliases
                    seen.add(id(inner))
                    yield from _commands(f"{words} {name}", inner)


# ---- HTTP


def http_page() -> str:
    """Return the operations of the OpenAPI document, one by one."""
    mounted = {"/auth": AUTH, "/oauth": OAUTH, "": {**WELL_KNOWN, **METADATA}}
    described = document("Daypass", version("daypass"), mounted)
    parts = [
        "# HTTP API\n",
        HTTP,
    ]
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            parts.append(f"## `{method.upper()} {path}`\n\n{operation.get('summary', '')}\n")
            if description := operation.get("description"):
                parts.append(f"{description}\n")
            parts += _body_of(operation.get("requestBody", {}))
            answers = [f"| {status} | {_line(answer)} |" for status, answer in operation["responses"].items()]
            parts.append("\n".join(["| status | |", "|---|---|", *answers, ""]))
    parts.append("## Objects\n")
    for name, schema in described["components"]["schemas"].items():
        parts.append(f"### {name}\n\n{schema.get('description', '')}\n")
        parts.append(_fields(schema))
    return "\n".join(parts)


def _body_of(body: Mapping[str, Any]) -> Iterator[str]:
    for kind, content in body.get("content", {}).items():
        yield f"Body, `{kind}`: {_shape(content['schema'])}\n"


def _line(answer: Mapping[str, Any]) -> str:
    shapes = [_shape(content["schema"]) for content in answer.get("content", {}).values() if "schema" in content]
    return " ".join([answer.get("description", ""), *(f"→ {each}" for each in shapes)]).replace("|", "\\|")


def _shape(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema or "oneOf" in schema:
        return " or ".join(_shape(each) for each in schema.get("anyOf", schema.get("oneOf", ())))
    if schema.get("type") == "array":
        return f"list of {_shape(schema.get('items', {}))}"
    kind = schema.get("type", "object")
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


def _fields(schema: Mapping[str, Any]) -> str:
    required = schema.get("required", ())
    lines = ["| field | type | | |", "|---|---|---|---|"]
    for name, field in schema.get("properties", {}).items():
        needed = "" if name in required else "optional"
        lines.append(f"| `{name}` | {_shape(field)} | {needed} | {field.get('description', '')} |")
    return "\n".join([*lines, ""]) if schema.get("properties") else ""


if __name__ == "__main__":
    main(Path(sys.argv[1]))
