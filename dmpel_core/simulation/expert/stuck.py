"""The one way in which the expert gives up."""

from dmpel_core.errors import DmpelError


class StuckError(DmpelError):
    """The expert cannot finish this attempt; another attempt, noise or placement may work."""
