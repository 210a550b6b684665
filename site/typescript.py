"""Write the reference of the npm package from the types that it ships, ``js/dist/*.d.ts``.

The types are in one file for each entry, and TypeScript itself has printed them: a statement begins at the start of a
line, and a member of an interface or class is indented by four spaces.
"""

import re
from dataclasses import dataclass
from pathlib import Path

ENTRIES = ("index", "axios", "install", "react", "vue", "socket", "dpop", "server", "verify")
ORDER = ("function", "const", "interface", "type", "class")
"""What is shown first: what people call, then what it takes and returns, then the errors."""

HEAD = """# JavaScript API

Made from the types of the npm package. [The browser](../browser.md) says how the parts work together;
[Server rendering](../server-rendering.md) is about `daypass/server`, and [Verifying in another service](../verifier.md)
about `daypass/verify`. Times are in milliseconds.
"""

_STATEMENT = re.compile(
    r"(?:^/\*\*(?:(?!\*/)[\s\S])*\*/\n)?^export (?!\{|type \{).*(?:[^{\n]$|\{\n(?:^\s.*\n)*^\}.*$)", re.MULTILINE
)
_MEMBER = re.compile(
    r"(?:^ {4}/\*\*(?:(?!\*/)[\s\S])*\*/\n)?^ {4}(?![/* ])\S.*(?:[^{\n]$|\{\n(?:^ {5}.*\n)*^ {4}\}.*$)", re.MULTILINE
)
_COMMENT = re.compile(r"^ *\/\*\*(.*?)\*/\n", re.MULTILINE | re.DOTALL)
_PASSED_ON = re.compile(r"^export (?:type )?\{([^}]*)\} from", re.MULTILINE)
_HEAD = re.compile(r"export (?:declare )?(?:abstract )?(function|class|const|interface|type) (\w+)")
_EXTENDS = re.compile(r"^export .* extends ([^{]*\S) \{$", re.MULTILINE)
_INNER = re.compile(r"/\*\*(.*?)\*/\s*(\w+)\??:", re.DOTALL)


@dataclass(frozen=True)
class Declared:
    """What an entry exports: a function, class, constant, interface or type, with the text of its comment."""

    kind: str
    name: str
    comment: str
    code: str


def page(folder: Path) -> str:
    """Return the page with all that each entry exports; what an earlier entry has, too, is only named."""
    parts = [HEAD]
    shown: dict[str, str] = {}
    for entry in ENTRIES:
        text = (folder / f"{entry}.d.ts").read_text(encoding="utf-8")
        found = list(declared(text))
        passed_on = [name.strip() for names in _PASSED_ON.findall(text) for name in names.split(",")]
        again = [each.name for each in found if each.code in shown] + passed_on
        parts.append(f"## `{'daypass' if entry == 'index' else f'daypass/{entry}'}`\n")
        for each in sorted((each for each in found if each.code not in shown), key=lambda each: ORDER.index(each.kind)):
            shown[each.code] = f"{entry}-{each.name.lower()}"
            parts.append(_described(each, shown[each.code]))
        if again:
            parts.append(f"As in `daypass`: {', '.join(f'[`{name}`](#index-{name.lower()})' for name in again)}.\n")
    return "\n".join(parts)


def declared(text: str) -> list[Declared]:
    """Return what a file of types exports, in its order.

    Raises:
        ValueError: a statement is not understood.
    """
    found: list[Declared] = []
    for statement in _STATEMENT.findall(text):
        comment = _COMMENT.match(statement)
        code = statement[comment.end() if comment else 0 :]
        head = _HEAD.match(code)
        if head is None:
            raise ValueError(f"not understood: {code!r}")
        if found and found[-1].name == head[2]:  # a type and a constant of one name
            found[-1] = Declared(head[1], head[2], comment[1] if comment else "", f"{found[-1].code}\n{code}")
        else:
            found.append(Declared(head[1], head[2], comment[1] if comment else "", code))
    return found


def _described(each: Declared, anchor: str) -> str:
    parts = [f"### `{each.name}` {{ #{anchor} }}\n"]
    if each.kind in ("interface", "class"):
        wider = _EXTENDS.match(each.code)
        parts += [
            _prose(each.comment),
            f"Extends `{wider[1]}`.\n" if wider and wider[1] != "Failure" else "",
            _members(each.code),
        ]
    else:
        short = re.sub(r"^export (declare )?", "", each.code, flags=re.MULTILINE)
        parts += [f"```ts\n{_COMMENT.sub('', short)}\n```\n", _prose(each.comment)]
    return "\n".join(part for part in parts if part)


def _members(code: str) -> str:
    rows = []
    for text in _MEMBER.findall(code):
        comment = _COMMENT.match(text)
        member = text[comment.end() if comment else 0 :]
        inner = [f"`{name}`: {_line(said)}" for said, name in _INNER.findall(member)]
        shown = re.sub(r"\s+", " ", _COMMENT.sub("", member)).strip().rstrip(";")
        if not shown.startswith("readonly name"):
            said = " ".join([_line(comment[1] if comment else ""), *inner]).strip()
            rows.append(f"| `{shown.removeprefix('readonly ')}` | {said.replace('|', chr(92) + '|')} |")
    return "\n".join(["| | |", "|---|---|", *rows, ""]) if rows else ""


def _prose(comment: str) -> str:
    """Return a comment as Markdown: its paragraphs, then a list of parameters, results and errors."""
    text, *tags = re.split(r"^@", _bare(comment), flags=re.MULTILINE)
    items = [f"- {_tag(' '.join(tag.split()))}" for tag in tags]
    return "\n".join([text.strip(), "", *items, ""]).strip() + "\n" if comment else ""


def _line(comment: str) -> str:
    """Return a comment as one line, for a table."""
    text, *tags = re.split(r"^@", _bare(comment), flags=re.MULTILINE)
    return " ".join([*text.split(), *(_tag(" ".join(tag.split())) for tag in tags)])


def _bare(comment: str) -> str:
    return re.sub(r"^ *\* ?", "", comment.strip(), flags=re.MULTILINE)


def _tag(text: str) -> str:
    kind, _, said = text.partition(" ")
    name, _, rest = said.partition(" ")
    return {"throws": f"Throws {said}", "returns": f"Returns {said}", "param": f"`{name}`: {rest}"}[kind]
