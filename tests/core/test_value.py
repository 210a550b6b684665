"""Values are as cheap to define as possible, and otherwise like frozen dataclasses."""

from dataclasses import field

from daypass.value import value


@value(frozen=True, slots=True)
class Kept:
    name: str
    secret: str = field(default="", repr=False)
    note: str = field(default="", compare=False)


@value(frozen=True, slots=True)
class Other:
    name: str
    secret: str = ""
    note: str = ""


def test_values_with_equal_fields_are_equal() -> None:
    """And they are one key of a dict; a field that is not compared does not matter."""
    assert Kept("a", "s", "one") == Kept("a", "s", "two")
    assert {Kept("a", "s", "one")} == {Kept("a", "s", "two")}
    assert Kept("a", "s") != Kept("a", "t")
    other: object = Other("a")
    assert Kept("a") != other


def test_repr_of_a_value_has_no_secret() -> None:
    """A field with ``repr=False`` is left out, as in a dataclass."""
    assert "Kept(name='a', note='')" == repr(Kept("a", "s3cret"))
