"""The promises of the rotation rule, as checks of one step of a trace. Each returns what went wrong, or None.

The exact statements. *Use* means that a request with a token is served, at the server's time. *Given* means that the
server answered with a token, whether or not the answer arrives.

Promise 1, without a thief, and promise 3, with a store that loses its last writes:

- `nobody_is_logged_out`: no step is *reuse*.
- `jar_goes_on`: in every state, wait until all messages under way have arrived or are lost, and the grace period has
  passed. Then the token in the jar is accepted and replaced, and its replacement too.
- `stale_tells_the_truth`: when a request is refused as *stale*, the jar has another token, and that one is valid.

Promise 2, with a thief who copied the jar once, keeps every token that he was ever given, and uses any of them at any
time:

- `no_two_lines` (for the traces in which every use by one party is more than W from every use by the other): the
  session is revoked before both have been given two new tokens, the second one for the first. Counting starts again
  after lost writes, and when a token from the future heals the session.
- `nothing_for_the_loser` (no condition on uses): once a token that only one party was given has advanced the session,
  the other party is given no more tokens.
- `shared_within_grace` (no condition): a token reaches the second party at most W after it was drawn for the first.
- `loser_is_found` (no condition): a use by the loser more than W after the last rotation revokes the session.
- `found_after` (no condition): once the winner has advanced the session three times, a loser's use revokes it at any
  time.

Promise 4, for a session that is bound to a key, with a thief who always has every token but no key: everything that is
promised without a thief, and

- `nothing_without_the_key`: whatever token the thief presents, he is given nothing, and nothing changes for the server
  or the owner.

Not promised, and shown by the tests: two parties are not found if they are within W of each other again and again, and
several tabs may not survive lost writes.
"""

from collections.abc import Callable

from daypass.rotation import LONG_PAST, Verdict

from .world import OWNER, TICK, Apart, State, Step, World

Promise = Callable[[World, State, Step, State], str | None]
"""A check of one step: the world, the state before, the step and the state after."""


def nobody_is_logged_out(world: World, before: State, step: Step, after: State) -> str | None:
    """The rule logs out no honest user."""
    return "an honest user is logged out" if after.revoked else None


def jar_goes_on(world: World, before: State, step: Step, after: State) -> str | None:
    """The jar's token is good once all is quiet: it gives a new one, and that gives a new one again."""
    was_looked_at = (after.row, after.jar) == (before.row, before.jar) and before is not world.start
    if after.revoked or was_looked_at:
        return None
    row, token, now = after.row, after.jar, after.now
    for _ in range(2):
        now += world.grace + 2 * world.delay + TICK
        outcome = world.serve(row, token, now)
        if outcome.answer is None:
            return f"the jar holds a dead token for good: after W it is {outcome.verdict}"
        if outcome.answer == token:
            return f"the jar's token is never exchanged for a new one: after W it is {outcome.verdict}"
        row, token = outcome.row, outcome.answer
    return None


def stale_tells_the_truth(world: World, before: State, step: Step, after: State) -> str | None:
    """If the answer says that there is a newer token, the jar has it."""
    if step.outcome is None or step.message is None or step.outcome.verdict is not Verdict.STALE:
        return None
    if before.jar == step.message.token:
        return "the jar's own token is refused as stale: there is no newer one"
    if world.serve(before.row, before.jar, before.now).answer is None:
        return "a token is refused as stale, and the jar's is refused too"
    return None


def no_two_lines(world: World, before: State, step: Step, after: State) -> str | None:
    """Owner and thief do not both continue with tokens that they got after the theft."""
    if after.theft is None or after.revoked or min(after.theft.depth) < 2:
        return None
    return "owner and thief have both been given two new tokens"


def nothing_for_the_loser(world: World, before: State, step: Step, after: State) -> str | None:
    """Once only one of the parties has continued, the other gets nothing."""
    if before.theft is None or before.theft.winner < 0 or step.outcome is None or step.party == before.theft.winner:
        return None
    return None if step.outcome.answer is None else "the party that was left behind is given a token"


def shared_within_grace(world: World, before: State, step: Step, after: State) -> str | None:
    """A token is shared only with who comes within the grace period."""
    if before.theft is None or step.outcome is None or step.message is None or step.outcome.answer is None:
        return None
    ways = world.ways(before, step.outcome.answer)
    if ways[step.party] >= 0 or ways[1 - step.party] < 0:
        return None
    if step.message.clock - world.mint.born[step.outcome.answer] <= world.grace:
        return None
    return "both parties are given the same token, more than W apart"


def loser_is_found(world: World, before: State, step: Step, after: State) -> str | None:
    """Who was left behind is found out when he comes after the grace period."""
    if before.theft is None or before.theft.winner < 0 or step.outcome is None or step.party == before.theft.winner:
        return None
    if step.message is None or step.message.clock - before.row[1] <= world.grace or after.revoked:
        return None
    return "the party that was left behind came more than W after the last rotation, and is not found"


def found_after(wins: int) -> Promise:
    """Return the promise that the loser's use is found, whenever it comes, after ``wins`` further rotations."""

    def loser_is_found_at_once(world: World, before: State, step: Step, after: State) -> str | None:
        """Who was left behind is found out whenever he comes, some rotations later."""
        if before.theft is None or before.theft.winner < 0 or step.outcome is None:
            return None
        if step.party == before.theft.winner or before.theft.wins < wins or after.revoked:
            return None
        who = "owner" if step.party == OWNER else "thief"
        return f"the other has rotated {wins} times since, and the {who}'s dead token is only {step.outcome.verdict}"

    return loser_is_found_at_once


def nothing_without_the_key(world: World, before: State, step: Step, after: State) -> str | None:
    """Who does not have the session's key is given nothing, and changes nothing."""
    if step.party == OWNER or step.outcome is None:
        return None
    if step.outcome.answer is not None:
        return "a thief without the key is given a token"
    return None if after == before else "a thief without the key changes something"


HONEST: tuple[Promise, ...] = (nobody_is_logged_out, jar_goes_on, stale_tells_the_truth)
"""Promise 1, and promise 3."""

THEFT: tuple[Promise, ...] = (nothing_for_the_loser, shared_within_grace, loser_is_found, found_after(LONG_PAST))
"""Promise 2, whatever the parties do."""

THEFT_APART: tuple[Promise, ...] = (no_two_lines,)
"""Promise 2, for traces in which the uses of owner and thief are apart."""


def promises_of(world: World) -> tuple[Promise, ...]:
    """Return the promises that are to hold in ``world``."""
    settings = world.settings
    if settings.bound:
        return (nothing_without_the_key, *HONEST)
    if not settings.thief:
        return HONEST
    return THEFT if settings.apart is Apart.NONE else THEFT_APART
