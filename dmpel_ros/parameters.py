"""Parameters of a node, declared once in a table: name, default, meaning, range, and whether they may change while it runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node

Value = bool | int | float | str | list[float] | list[str]


@dataclass(frozen=True)
class Parameter:
    """One row of the table.

    Attributes:
        name: Name of the parameter.
        default: Value when no file and no argument sets it; its type is the parameter's type.
        description: What it does, with the unit in brackets.
        low: Smallest value allowed, for numbers.
        high: Largest value allowed, for numbers.
        read_only: True when it is read once, at the start.
    """

    name: str
    default: Value
    description: str
    low: float | None = None
    high: float | None = None
    read_only: bool = False

    def descriptor(self) -> ParameterDescriptor:
        """Return what `ros2 param describe` shows."""
        result = ParameterDescriptor(name=self.name, description=self.description, read_only=self.read_only)
        if self.low is None or self.high is None:
            return result
        if isinstance(self.default, float):
            result.floating_point_range = [FloatingPointRange(from_value=float(self.low), to_value=float(self.high))]
        else:
            result.integer_range = [IntegerRange(from_value=int(self.low), to_value=int(self.high), step=1)]
        return result


def declare(node: Node, table: Sequence[Parameter]) -> None:
    """Declare every row at the node; values from files and arguments are checked against the ranges here."""
    for row in table:
        node.declare_parameter(row.name, row.default, row.descriptor())


def read(node: Node, name: str) -> Any:
    """Return the value of a declared parameter now."""
    return node.get_parameter(name).value
