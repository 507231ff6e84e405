"""The message on ~/routing: coefficients by expert, and how evenly each group's are spread."""

import numpy as np
import pytest

from dmpel_core.groups import GROUPS
from dmpel_ros.routing import entropy, from_routing, to_routing


@pytest.mark.parametrize(
    ("row", "bits"),
    [
        ((0.0, 0.7, 0.0, 0.0), 0.0),
        ((0.3, 0.3, 0.0, 0.0), 1.0),
        ((0.4, 0.4, 0.4, 0.4), 2.0),
        ((1.5, 0.5, 0.0, 0.0), 2.0 - 0.75 * np.log2(3)),
        ((0.0, 0.0, 0.0, 0.0), 0.0),
    ],
)
def test_entropy_counts_how_many_experts_act(row: tuple[float, ...], bits: float) -> None:
    np.testing.assert_allclose(entropy(np.array([row, row], np.float32)), [bits, bits], atol=1e-6)


@pytest.mark.parametrize("experts", [(), ("open the drawer", 'put, "it" there')])
def test_coefficients_come_back_with_the_names(experts: tuple[str, ...]) -> None:
    coefficients = np.random.default_rng(0).random((len(GROUPS), len(experts)), np.float32)
    message = to_routing(coefficients, experts, 4)
    found, names = from_routing(message)
    np.testing.assert_array_equal(found, coefficients)
    assert names == experts
    assert [dimension.size for dimension in message.layout.dim] == [1, len(GROUPS), len(experts) + 1]
    assert message.layout.dim[0].label == '["generation 4"]'
