"""Writes docs/parameters.md from the declarations: `python -m dmpel_ros.parameters_page > docs/parameters.md`."""

from collections.abc import Iterator, Mapping, Sequence

from dmpel_ros import bridge_node, policy_parameters
from dmpel_ros.parameters import Parameter

HEADING = """# Parameters

Made by `python -m dmpel_ros.parameters_page` from the declarations in `dmpel_ros/policy_parameters.py` and `dmpel_ros/bridge_node.py`;
`ros2 param describe` shows the same. Write `25.0`, not `25`, for numbers with a fraction. "Fixed" ones are read once, when the node
starts; the others may be changed while it runs. `config/` holds one file per kind of arm."""


def page() -> str:
    """Return the page."""
    return "\n".join([HEADING, *_section("policy", policy_parameters.GROUPS), *_section("simulation", {"": bridge_node.PARAMETERS})]) + "\n"


def _section(node: str, groups: Mapping[str, Sequence[Parameter]]) -> Iterator[str]:
    yield f"\n## The node `{node}`"
    for title, rows in groups.items():
        yield f"\n### {title}\n" if title else ""
        yield "| parameter | type | default | range | | meaning |"
        yield "| --- | --- | --- | --- | --- | --- |"
        yield from map(_row, rows)


def _row(row: Parameter) -> str:
    allowed = "" if row.low is None or row.high is None else f"{row.low:g} to {row.high:g}"
    cells = (f"`{row.name}`", _type(row.default), f"`{_shown(row.default)}`", allowed, "fixed" if row.read_only else "", row.description)
    return "| " + " | ".join(cells) + " |"


def _type(default: object) -> str:
    names = {bool: "bool", int: "int", float: "float", str: "text"}
    return f"list of {names[type(default[0])]}" if isinstance(default, list) else names[type(default)]


def _shown(default: object) -> str:
    if isinstance(default, list):
        return "[" + ", ".join(_shown(value) for value in default) + "]"
    if isinstance(default, bool):
        return str(default).lower()
    return f"{default:.5g}" if isinstance(default, float) else str(default) or '""'


if __name__ == "__main__":
    print(page(), end="")
