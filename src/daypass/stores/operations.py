"""Tables of which function performs which step: one for each kind of store, checked by mypy."""

from collections.abc import Callable, Generator
from typing import Any, TypeVar

from daypass.errors import ConfigurationError
from daypass.flow import Step

A = TypeVar("A")
T = TypeVar("T")
Y = TypeVar("Y")


class _Table:
    def __init__(self) -> None:
        self._functions: dict[type[Step[Any]], Callable[[Any, Any], Any]] = {}

    @property
    def steps(self) -> frozenset[type[Step[Any]]]:
        """The steps that have functions."""
        return frozenset(self._functions)

    def require(self, step: Step[Any]) -> None:
        """Check that ``step`` has a function.

        Raises:
            ConfigurationError: it has none.
        """
        self._find(step)

    def _find(self, step: Step[Any]) -> Callable[[Any, Any], Any]:
        try:
            return self._functions[type(step)]
        except KeyError:
            raise ConfigurationError(f"this store cannot perform {type(step).__name__}") from None


class Operations(_Table):
    """Functions that perform a step by themselves: called with their store and the step, they return its answer."""

    def __call__(self, kind: type[Step[A]]) -> Callable[[Callable[[T, Any], A]], Callable[[T, Any], A]]:
        """Return a decorator that registers a function for steps of ``kind``."""

        def enter(function: Callable[[T, Any], A]) -> Callable[[T, Any], A]:
            self._functions[kind] = function
            return function

        return enter

    def perform(self, store: Any, step: Step[A]) -> A:
        """Perform ``step`` and return its answer.

        Raises:
            ConfigurationError: there is no function for such a step.
        """
        answer: A = self._find(step)(store, step)
        return answer


class Plans(_Table):
    """Functions that plan a step: called with the step and a setting, they are generators that return its answer."""

    def __call__(
        self, kind: type[Step[A]]
    ) -> Callable[[Callable[[Any, T], Generator[Y, Any, A]]], Callable[[Any, T], Generator[Y, Any, A]]]:
        """Return a decorator that registers a function for steps of ``kind``."""

        def enter(function: Callable[[Any, T], Generator[Y, Any, A]]) -> Callable[[Any, T], Generator[Y, Any, A]]:
            self._functions[kind] = function
            return function

        return enter

    def of(self, step: Step[A], setting: Any) -> Generator[Any, Any, A]:
        """Return the plan for ``step``.

        Raises:
            ConfigurationError: there is no function for such a step.
        """
        plan: Generator[Any, Any, A] = self._find(step)(step, setting)
        return plan
