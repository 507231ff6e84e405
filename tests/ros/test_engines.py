"""The engine that a node's parameters ask for."""

from pathlib import Path
from typing import Any

import pytest

from dmpel_core import inference
from dmpel_ros.engines import load_library
from dmpel_ros.policy_parameters import ENGINE


@pytest.mark.parametrize(("value", "file"), [("", None), ("frames.safetensors", Path("frames.safetensors"))])
def test_parameters_become_savings(monkeypatch: pytest.MonkeyPatch, value: str, file: Path | None) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr(inference, "load_engine", lambda *_, **options: asked.update(options))
    wanted = {row.name: row.default for row in ENGINE} | {
        "int8": value,
        "route_every": 10,
        "hysteresis": 0.2,
        "tolerance": 0.1,
        "signed_by": None,
    }
    load_library(Path("library"), None, wanted)
    savings = asked["savings"]
    assert (savings.int8, savings.route_every, savings.hysteresis, savings.tolerance) == (file, 10, 0.2, 0.1)
