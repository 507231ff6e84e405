"""Message types as MCAP files describe them, so that a file can be read where the package that made it is unknown."""

import os
import re
import sys
from pathlib import Path

from dmpel_core.errors import DmpelError

SEPARATOR = "=" * 80
"""Line between the definitions of a type and of the types that it is made of (https://mcap.dev/spec/registry#ros2msg)."""

FIELD = re.compile(r"^\s*(?:([a-z][a-z0-9_]*)/)?([A-Z]\w*)(?:\[.*?\])?\s+[a-z]\w*", re.MULTILINE)
"""A field whose type is a message: of a package, or of the same package."""


def type_name(kind: type) -> str:
    """Return a message class's name, such as sensor_msgs/msg/Image."""
    return f"{kind.__module__.split('.')[0]}/msg/{kind.__name__}"


def definition(name: str) -> str:
    """Return the text that defines a type, followed by those of all the types in it.

    Raises:
        DmpelError: The package that defines it is not installed.
    """
    package, _, short = name.split("/")
    texts, open_types = [_text(package, short)], _fields(package, _text(package, short))
    known = {(package, short)}
    while open_types:
        found = open_types.pop(0)
        if found not in known:
            known.add(found)
            text = _text(*found)
            texts.append(f"{SEPARATOR}\nMSG: {found[0]}/{found[1]}\n{text}")
            open_types += _fields(found[0], text)
    return "\n".join(texts)


def _fields(package: str, text: str) -> list[tuple[str, str]]:
    """Return package and name of every type that a definition mentions."""
    return [(other or package, short) for other, short in FIELD.findall(text)]


def _text(package: str, short: str) -> str:
    # An environment of wheels is a complete ROS prefix and says so nowhere.
    prefixes = [*os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep), sys.prefix]
    for prefix in filter(None, prefixes):
        file = Path(prefix) / "share" / package / "msg" / f"{short}.msg"
        if file.is_file():
            return file.read_text(encoding="utf-8")
    raise DmpelError(f"no definition of {package}/msg/{short} in {', '.join(prefixes)}: install or source the ROS package '{package}'")
