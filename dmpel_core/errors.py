"""The one base exception of the package.

A `DmpelError` is something a user can mend: its message says what was expected, what was found and what to do.
Broken invariants inside the package raise the built-in exceptions instead.
"""


class DmpelError(Exception):
    """Base of every error that a user of the package can mend."""
