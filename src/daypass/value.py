"""Values: objects that no code changes, and that are cheap to create.

Python sets each field of a frozen dataclass by ``object.__setattr__``: 1.1 µs for nine fields, where a plain dataclass
takes 0.2 µs, and a refresh creates twenty values. So mypy refuses code that changes a field of a `value`, and Python
does not check it. What applications get, such as `daypass.Session`, is a frozen dataclass.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as value
else:
    from dataclasses import dataclass

    def value(*, frozen: bool, slots: bool) -> Any:
        """Return a decorator that makes a dataclass; with the hash of a frozen one."""
        return dataclass(slots=slots, unsafe_hash=frozen)


__all__ = ["value"]
