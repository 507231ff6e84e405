"""The words for what an arm does, in two levels: the skill of a whole task, and the phase of a tick.

An index into `SKILLS` or `PHASES` is what files and libraries store, beside the names themselves; new words go to the end.
"""

from dmpel_core.errors import DmpelError

SKILLS = ("pick-place", "open", "close", "push", "turn", "other")
"""What a task asks for. A task that asks for several goes by the last one, which ends it; `other` is none of them."""

PHASES = ("reach", "align", "grasp", "lift", "transport", "place", "release", "retreat", "open", "close", "turn", "push", "wait")
"""What the hand is about at a tick.

    reach      to the thing, through free space
    align      the last straight way to a knob, and the fingers closing on it
    grasp      the last straight way to a thing, and the fingers closing on it
    lift       straight up with the thing, until it is clear
    transport  with the thing, until it is over where it shall be
    place      down with the thing
    release    fingers opening
    retreat    away from what was let go
    open close turn push    a drawer out, a drawer in, a knob round, a thing along the table
    wait       nothing is left to do
"""

_VERBS = {
    "put": "pick-place", "place": "pick-place", "pick": "pick-place", "stack": "pick-place", "open": "open", "close": "close",
    "push": "push", "slide": "push", "turn": "turn", "switch": "turn",
}  # fmt: skip


class SkillError(DmpelError):
    """A word that is not in the vocabulary, or labels that do not fit their demonstration."""


def phase_index(name: str) -> int:
    """Return the index of a phase.

    Raises:
        SkillError: There is no such phase.
    """
    if name not in PHASES:
        raise SkillError(f"there is no phase {name!r}; the phases are {', '.join(PHASES)}")
    return PHASES.index(name)


def skill_of(instruction: str) -> str:
    """Return the skill that an instruction asks for: that of its last verb, `other` where it has none of them."""
    found = [_VERBS[word] for word in instruction.lower().replace(",", " ").split() if word in _VERBS]
    return found[-1] if found else "other"
