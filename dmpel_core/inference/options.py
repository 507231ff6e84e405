"""Chosen savings: each changes what the policy does a little, is off by default, and is for the user to weigh."""

import argparse
from dataclasses import asdict, dataclass
from pathlib import Path

from dmpel_core.errors import DmpelError

PRECISIONS = ("fp32", "bf16", "fp16")
"""Numbers that training and the torch engine can compute with."""


@dataclass(frozen=True)
class Savings:
    """What an engine may leave out.

    Attributes:
        route_every: Ticks from one routing to the next; 0 for what the library says, which is every tick unless it says otherwise.
        tolerance: A module group is mixed anew only when a coefficient of it has moved by more than this.
        route_after: Act first and route after: a tick acts with the coefficients of the tick before, and `Engine.catch_up`, called
            when the action is out, does the rest. The first tick of an episode or of a generation routes before it acts.
        int8: Run the image tower in eight bits, on a processor: a file of pictures on which it is tried first, and refused if it sees
            something else (`dmpel_core.inference.int8.open_int8`). None for float32.
        hysteresis: See `dmpel_core.inference.calm.Calm`; 0 is off.
        most_change: Likewise.
        precision: One of `PRECISIONS`; all but the router computes in it, by PyTorch's autocast. Pays on a GPU, costs on most processors.
    """

    route_every: int = 0
    tolerance: float = 0.0
    route_after: bool = False
    int8: Path | None = None
    hysteresis: float = 0.0
    most_change: float = 0.0
    precision: str = "fp32"

    def __post_init__(self) -> None:
        """Refuse what has no meaning.

        Raises:
            DmpelError: A number is negative, or the precision is unknown.
        """
        negative = [name for name in ("route_every", "tolerance", "hysteresis", "most_change") if not getattr(self, name) >= 0]
        if negative:
            raise DmpelError(f"{negative[0]} {getattr(self, negative[0])} must not be negative; 0 is off")
        if self.precision not in PRECISIONS:
            raise DmpelError(f"there is no precision {self.precision!r}; choose one of {', '.join(PRECISIONS)}")

    def record(self) -> dict[str, object]:
        """Return as JSON values what differs from the default."""
        return {
            name: str(value) if isinstance(value, Path) else value for name, value in asdict(self).items() if value != getattr(EXACT, name)
        }


EXACT = Savings()
"""Nothing is left out."""


def add_savings_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of commands whose engine may leave something out."""
    parser.add_argument("--route-every", type=int, default=0, help="ticks from one routing to the next; 0 for what the library says")
    parser.add_argument("--route-after", action="store_true", help="act first, with the coefficients of the tick before, and route after")
    parser.add_argument("--tolerance", type=float, default=0.0, help="mix a module group anew only when a coefficient has moved by more")
    parser.add_argument("--int8", type=Path, help="file of `dmpel frames`: run the image tower in eight bits if it sees the same on those")
    parser.add_argument("--hysteresis", type=float, default=0.0, help="by how much a stronger expert must be ahead to take over")
    parser.add_argument("--most-change", type=float, default=0.0, help="largest change of a coefficient between two routings; 0 for any")
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32", help="bf16 and fp16 are for the torch engine on a GPU")


def savings_of(arguments: argparse.Namespace) -> Savings:
    """Return the savings that the options ask for."""
    return Savings(**{name: getattr(arguments, name) for name in asdict(EXACT)})
