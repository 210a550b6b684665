"""The explorer can fail: it finds the shortest trace that breaks each wrong rule, and shows what breaks none."""

import pytest

from daypass.rotation import Age, Relation, Verdict

from .explorer import explore
from .promises import promises_of
from .variants import HARMLESS, VARIANTS, Variant, with_verdict
from .world import Settings, World
from .worlds import TABS, THIEF


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_a_wrong_rule_is_found_out(variant: Variant) -> None:
    """A rule that is wrong in one way breaks a promise, in a trace of known length and kind."""
    world = World(variant.settings, variant.rule)
    result = explore(world, promises_of(world))

    assert result.broken is not None
    assert result.broken.startswith(variant.breaks), str(result)
    assert variant.steps == len(result.trace)


@pytest.mark.parametrize(("relation", "age", "verdict"), HARMLESS, ids=lambda part: str(part.name))
@pytest.mark.parametrize("settings", [TABS, THIEF], ids=["tabs", "thief"])
def test_a_change_that_breaks_no_promise(relation: Relation, age: Age, verdict: Verdict, settings: Settings) -> None:
    """A row could have this other verdict as far as the promises go; `HARMLESS` says why it has not."""
    world = World(settings, with_verdict(relation, age, verdict))
    result = explore(world, promises_of(world))

    assert result.broken is None, str(result)
    assert result.finished
