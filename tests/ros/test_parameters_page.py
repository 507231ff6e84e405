"""The page of parameters."""

from pathlib import Path

from dmpel_ros.bridge_node import PARAMETERS as BRIDGE
from dmpel_ros.parameters_page import page
from dmpel_ros.policy_parameters import PARAMETERS


def test_the_page_is_what_the_declarations_say() -> None:
    shipped = Path(__file__).parents[2] / "docs" / "parameters.md"
    assert shipped.read_text() == page(), "make it again: python -m dmpel_ros.parameters_page > docs/parameters.md"


def test_every_parameter_has_a_row() -> None:
    for row in (*PARAMETERS, *BRIDGE):
        assert f"| `{row.name}` |" in page()
