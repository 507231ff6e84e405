"""The algorithms that are compared: one file each, all on the same policy, data and training loop."""

from dmpel_core.errors import DmpelError
from dmpel_core.lifelong.algorithms.agem import AGem
from dmpel_core.lifelong.algorithms.base import Algorithm
from dmpel_core.lifelong.algorithms.dmpel import Dmpel
from dmpel_core.lifelong.algorithms.ewc import Ewc
from dmpel_core.lifelong.algorithms.experience_replay import ExperienceReplay
from dmpel_core.lifelong.algorithms.iscil import IsCiL
from dmpel_core.lifelong.algorithms.l2m import L2M
from dmpel_core.lifelong.algorithms.lotus import Lotus
from dmpel_core.lifelong.algorithms.multitask import Multitask
from dmpel_core.lifelong.algorithms.packnet import PackNet
from dmpel_core.lifelong.algorithms.sequential import Frozen, Sequential
from dmpel_core.lifelong.algorithms.single_task import SingleTask
from dmpel_core.lifelong.algorithms.tail import Tail, TailOracle

__all__ = ["ALGORITHMS", "Algorithm", "algorithm_called"]

ALGORITHMS: dict[str, type[Algorithm]] = {
    kind.name: kind
    for kind in (
        Dmpel, Sequential, Frozen, ExperienceReplay, Ewc, PackNet, Lotus, L2M, IsCiL, Tail, TailOracle, AGem, Multitask, SingleTask
    )
}  # fmt: skip


def algorithm_called(name: str) -> type[Algorithm]:
    """Return an algorithm.

    Raises:
        DmpelError: There is none of that name.
    """
    if name not in ALGORITHMS:
        raise DmpelError(f"there is no algorithm {name!r}; choose one of {', '.join(ALGORITHMS)}")
    return ALGORITHMS[name]
