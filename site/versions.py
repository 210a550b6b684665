"""Put a built site beside the sites of other versions.

    python site/versions.py build/site/html FOLDER [VERSION]

``FOLDER`` then has a folder for each minor version (``0.2``), the list that the version picker of each page reads
(``versions.json``), and an ``index.html`` that leads to the newest version. Any web server can serve it; nothing is
loaded from elsewhere. A patch release replaces the site of its minor version.
"""

import argparse
import json
import re
import shutil
from pathlib import Path

ROOT = Path(__file__).parents[1]
LATEST = "latest"
"""The alias of the newest version: pages of all others say that they are old."""

INDEX = """<!doctype html>
<meta charset="utf-8">
<title>Daypass</title>
<meta http-equiv="refresh" content="0; url={newest}/">
<a href="{newest}/">Documentation of Daypass {newest}</a>
"""


def put(built: Path, folder: Path, version: str) -> None:
    """Copy a built site to its version, and list all versions, the newest first.

    Raises:
        ValueError: the version has another form, or there is no site in ``built``; nothing was changed.
    """
    if not re.fullmatch(r"\d+\.\d+", version):
        raise ValueError(f"invalid version {version!r}: write the major and the minor version, such as 0.2")
    if not (built / "index.html").is_file():
        raise ValueError(f"no site in {built}: run `make docs` first")
    place, new = folder / version, folder / f".{version}"
    shutil.rmtree(new, ignore_errors=True)
    shutil.copytree(built, new)
    shutil.rmtree(place, ignore_errors=True)
    new.rename(place)
    found = [each.name for each in folder.iterdir() if re.fullmatch(r"\d+\.\d+", each.name)]
    newest, *older = sorted(found, key=lambda name: [int(part) for part in name.split(".")], reverse=True)
    listed = [
        {"version": name, "title": name, "aliases": [LATEST] if name == newest else []} for name in (newest, *older)
    ]
    (folder / "versions.json").write_text(json.dumps(listed, indent=2) + "\n", encoding="utf-8")
    (folder / "index.html").write_text(INDEX.format(newest=newest), encoding="utf-8")
    (folder / ".nojekyll").touch()  # GitHub Pages serves the files as they are


def this_version() -> str:
    """Return the major and the minor version of this tree."""
    full: str = json.loads((ROOT / "js" / "package.json").read_text(encoding="utf-8"))["version"]
    return ".".join(full.split(".")[:2])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("built", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("version", nargs="?", default=this_version())
    given = parser.parse_args()
    try:
        put(given.built, given.folder, given.version)
    except ValueError as error:
        parser.error(str(error))
