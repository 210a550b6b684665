"""Explore on demand, deeper than the tests do: ``PYTHONPATH=src python -m tests.model --help``."""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence

from daypass.rotation import TABLE

from . import idle as idle_clock
from .explorer import Case, Limits, Result, explore
from .promises import promises_of
from .variants import VARIANTS
from .world import Settings, World
from .worlds import DEEP, QUICK


def main(arguments: Sequence[str] | None = None) -> int:
    """Explore the worlds that were asked for; exit with 1 when a promise was broken in one of them.

    With --variants it is the other way round: exit with 1 when a broken rule was not caught as it ought to be.
    """
    options = _options(arguments)
    limits = Limits(depth=options.depth, seconds=options.seconds)
    if options.variants:
        return _show_variants(limits)
    met: Counter[Case] = Counter()
    results = []
    for name, settings in _worlds(options).items():
        world = World(settings)
        result = explore(world, promises_of(world), limits)
        met.update(result.cases)
        results.append(result)
        _say(f"{name}: {result}")
    _say(_total(results))
    _say(_coverage(met))
    idle = [_explored(name) for name in idle_clock.KINDS if options.world in f"idle clock, {name}"]
    return int(any(result.broken for result in results) or any(idle))


def _explored(name: str) -> str | None:
    """Explore the idle clock of one kind of session; return which promise was broken."""
    found = idle_clock.explore(idle_clock.KINDS[name])
    said = found.broken or "every promise held"
    _say(f"idle clock, {name}: {found.states:,} states, {found.refreshes:,} refreshes: {said} {found.trace or ''}")
    return found.broken


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.model", description=main.__doc__)
    parser.add_argument("--quick", action="store_true", help="only the worlds of the test run")
    parser.add_argument("--variants", action="store_true", help="show the traces that break the broken rules instead")
    parser.add_argument("--world", default="", help="only the worlds whose name has this in it")
    parser.add_argument("--tabs", type=int, help="one world with so many tabs and racing nodes instead")
    parser.add_argument("--ticks", type=int, default=1, help="with --tabs: so many ticks for D, three times that for W")
    parser.add_argument("--depth", type=int, default=Limits().depth, help="stop each search at this depth")
    parser.add_argument("--seconds", type=float, default=120, help="stop each search after this time")
    options = parser.parse_args(arguments)
    if not _worlds(options) and options.world not in "idle clock":
        parser.error(f"no world has {options.world!r} in its name; there are: {'; '.join(DEEP)}")
    return options


def _worlds(options: argparse.Namespace) -> dict[str, Settings]:
    if options.tabs is not None:
        settings = Settings(
            delay=options.ticks, grace=3 * options.ticks, slow_nodes=True, room=options.tabs, races=True
        )
        return {f"{options.tabs} tabs": settings}
    worlds = QUICK if options.quick else DEEP
    return {name: settings for name, settings in worlds.items() if options.world in name}


def _show_variants(limits: Limits) -> int:
    missed = []
    for variant in VARIANTS:
        world = World(variant.settings, variant.rule)
        result = explore(world, promises_of(world), limits)
        _say(f"{variant.name}: {result}\n")
        if not (result.broken or "").startswith(variant.breaks) or len(result.trace) != variant.steps:
            missed.append(variant.name)
    _say(f"{len(VARIANTS)} broken rules, {len(VARIANTS) - len(missed)} caught in the trace that is expected")
    for name in missed:
        _say(f"  not so: {name}")
    return int(bool(missed))


def _total(results: Sequence[Result]) -> str:
    states, seconds = sum(each.states for each in results), sum(each.seconds for each in results)
    broken = sum(each.broken is not None for each in results)
    finished = sum(each.finished for each in results)
    done = f"{len(results)} worlds, {finished} of them to the end"
    return f"\n{done}: {states:,} states, {seconds:.0f} s, {broken} broken promises"


def _coverage(met: Counter[Case]) -> str:
    rows = (
        f"  {relation:<10} {age:<7} {verdict:<9} {met[relation, age, verdict]:>10,}"
        for (relation, age), verdict in TABLE.items()
    )
    return "\n".join(("how often each row of the table decided:", *rows))


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
