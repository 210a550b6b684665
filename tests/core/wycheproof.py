"""Runs Wycheproof's JSON Web Signature and JSON Web Key vectors against Daypass's verifier. A script, not a test.

    git --git-dir=… show HEAD:testvectors_v1/json_web_signature_test.json > json_web_signature_test.json
    python tests/core/wycheproof.py json_web_signature_test.json [json_web_key_test.json …]

Each vector is put to the verifier twice, with the vector's own key (or key set) as what the issuer knows:

- *As it ships* (`Verifier.check`). No vector is an access token of ours: all have to be refused, valid ones too.
- *The signature layer.* `Verifier._open`, the code that ships, with two names of its module lent another meaning, so
  that the signature alone decides: `TYPE` is what `_open` sees in a header without ``typ`` (the vectors have none), and
  `json.loads` hands the payload on as it is (the vectors' payloads are ``foo`` and the like, no claims). Everything
  else, decoding, header, key, algorithm, ``crit`` and the signature itself, is decided by the lines that ship.

A valid vector may be refused by design, and the table says why. An invalid one that the signature layer accepts is a
failure and makes the exit status 1, with two exceptions in the table. One is where the vectors contradict
themselves: the same text under the same key stands there as valid too. The other is where the signature is good and
the *key* should not have been accepted: Daypass makes its own keys and is handed none.
"""

# ruff: noqa: T201 - a script prints

import json
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import import_key

import daypass.verifier
from daypass.access_token import Names
from daypass.errors import TokenMalformed
from daypass.keys import ALGORITHMS, SigningKey
from daypass.verifier import Verifier

AS_SHIPPED = "refused as it ships (none is an access token)"
NAMES = Names("https://issuer.example", "https://issuer.example", "daypass")
KEY_AT_FAULT = {
    "rejectsKeyWithRocaVulnerability": "its key comes from a broken generator (ROCA)",
    "rejects1024bitRsaKey": "its RSA key has 1024 bits",
    "key_too_short": "its HMAC key has less than 256 bits",
    "rejectsValid": "its key set mixes symmetric and asymmetric keys, each for its own algorithm",
}
"""Vectors with a good signature of a key that should not have been accepted in the first place, by their comments."""


def main(files: list[str]) -> int:
    """Print a table for each file; return 0 when nothing was accepted that has to be refused."""
    wrong = 0
    for file in files:
        groups = json.loads(Path(file).read_text(encoding="utf-8"))["testGroups"]
        vectors = [(group, test) for group in groups for test in group["tests"] if "jws" in test]
        valid = [(public_or_private(group), test["jws"]) for group, test in vectors if test["result"] == "valid"]
        table: Counter[str] = Counter()
        for group, test in vectors:
            shipped, _ = put(Verifier.check, group, test["jws"], 0)
            accepted, reason = put(signature_layer, group, test["jws"])
            table[AS_SHIPPED] += not shipped
            if test["result"] == "valid":
                table["valid, accepted" if accepted else f"valid, refused by design: {reason}"] += 1
            elif not accepted:
                table["to be refused, refused"] += 1
            elif (public_or_private(group), test["jws"]) in valid:
                table["to be refused, accepted: the same text and key stand among the valid ones"] += 1
            elif test["comment"] in KEY_AT_FAULT:
                table[f"to be refused, accepted: {KEY_AT_FAULT[test['comment']]}"] += 1
            else:
                table["to be refused, ACCEPTED"] += 1
                print(f"accepted: {test['tcId']} {test['comment']}", file=sys.stderr)
        wrong += table["to be refused, ACCEPTED"] + len(vectors) - table[AS_SHIPPED]
        show(Path(file).name, len(vectors), table)
    return 1 if wrong else 0


def put(ask: Callable[..., Any], group: dict[str, Any], jws: Any, *arguments: int) -> tuple[bool, str]:
    """Return whether a verifier that knows the group's keys accepts ``jws``, or else why not."""
    text = jws if isinstance(jws, str) else json.dumps(jws)
    try:
        keys = dict(keys_of(group))
    except (JoseError, ValueError, TypeError, KeyError) as error:
        return False, f"the key cannot be imported: {type(error).__name__}"
    try:
        ask(Verifier(NAMES, keys.get), text, *arguments)
    except TokenMalformed as error:
        algorithms = {key.algorithm for key in keys.values()}
        if algorithms and algorithms.isdisjoint(ALGORITHMS):
            return False, f"the key is for {', '.join(sorted(algorithms))}, which is none of the four algorithms"
        return False, str(error)
    return True, ""


def public_or_private(group: dict[str, Any]) -> dict[str, Any]:
    """Return the key, or the key set, that a group's vectors are to be verified with."""
    key: dict[str, Any] = group.get("public") or group["private"]
    return key


def keys_of(group: dict[str, Any]) -> Iterator[tuple[str, SigningKey]]:
    """Yield the keys of a group by their names; the public part where there is one."""
    given = public_or_private(group)
    for jwk in given.get("keys", [given]):
        with warnings.catch_warnings(action="ignore", category=SecurityWarning):  # of a key that is too short
            key = import_key(jwk)
        yield str(jwk.get("kid")), SigningKey(key)


def signature_layer(verifier: Verifier, text: str) -> None:
    """Open ``text`` as the verifier does, but let only the signature decide; see above."""
    module = vars(daypass.verifier)
    shipped = {name: module[name] for name in ("TYPE", "json")}
    module.update(TYPE=str(None).lower(), json=SimpleNamespace(loads=lambda payload: {"payload": payload}))
    try:
        verifier._open(text)
    finally:
        module.update(shipped)


def show(name: str, vectors: int, table: Counter[str]) -> None:
    """Print the counts."""
    print(f"{name}: {vectors} vectors")
    for what in (AS_SHIPPED, "to be refused, refused", "to be refused, ACCEPTED", "valid, accepted"):
        print(f"  {table.pop(what, 0):5}  {what}")
    for what, count in sorted(table.items()):
        print(f"  {count:5}  {what}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
