"""JSON values that cannot be changed: for a cache that returns them to many callers."""

from collections.abc import Callable
from typing import Any, NoReturn

_PLAIN = {str, int, float, bool, type(None)}


def _refuse(*_: object, **__: object) -> NoReturn:
    """Refuse the change."""
    raise TypeError("verified claims are read-only; change a copy: copy.deepcopy(token.claims)")


class ReadOnlyDict(dict[str, Any]):
    """A dict that refuses changes; equal to a dict with the same items, and as JSON the same."""

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """Make copies, shallow and deep, and pickles plain dicts."""
        return dict, (dict(self),)


class ReadOnlyList(list[Any]):
    """A list that refuses changes; equal to a list with the same items, and as JSON the same."""

    __setitem__ = __delitem__ = __iadd__ = __imul__ = append = clear = extend = insert = _refuse
    pop = remove = reverse = sort = _refuse

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """Make copies, shallow and deep, and pickles plain lists."""
        return list, (list(self),)


def read_only(value: Any) -> Any:
    """Return a JSON value in which nothing can be changed, at any depth."""
    if isinstance(value, dict):
        if not _PLAIN.issuperset(map(type, value.values())):
            value = {name: read_only(each) for name, each in value.items()}
        return ReadOnlyDict(value)
    return ReadOnlyList(map(read_only, value)) if isinstance(value, list) else value
