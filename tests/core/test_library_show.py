"""`dmpel show`."""

import json
from pathlib import Path

import pytest

from dmpel_core import cli
from tests.core.small_library import make_library, teach


def test_prints_generations_experts_and_sizes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    teach(teach(make_library(tmp_path), "put the bowl on the plate"), "open the drawer", 2)
    assert cli.main(["show", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "generation 2 of 0, 1, 2" in lines[0]
    assert any(line.split() == ["image", "1", "adapted", "layers,", "rank", "2,", "20", "numbers", "per", "expert"] for line in lines)
    assert [line for line in lines if line.startswith("expert")][1].startswith("expert 2  open the drawer  (put; 0.00 MB; ")
    assert "  says   please open the drawer" in lines
    assert lines[-1] == f"  from   data {'ab' * 8}, seed 2, loss 0.5"


def test_prints_an_earlier_generation_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    teach(make_library(tmp_path), "put the bowl on the plate")
    assert cli.main(["show", str(tmp_path), "--generation", "0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["experts"] == []


def test_a_damaged_library_is_one_line_and_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_library(tmp_path)
    (tmp_path / "backbone.safetensors").unlink()
    assert cli.main(["show", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_select_rolls_back_and_forth(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    teach(teach(make_library(tmp_path), "put the bowl on the plate"), "open the drawer", 2)
    assert cli.main(["show", str(tmp_path), "--select", "1"]) == 0
    assert "generation 1 of 0, 1, 2" in capsys.readouterr().out
    assert cli.main(["show", str(tmp_path), "--select", "2"]) == 0
    assert "generation 2 of 0, 1, 2" in capsys.readouterr().out
    assert cli.main(["show", str(tmp_path), "--select", "3"]) == 2
    assert cli.main(["show", str(tmp_path)]) == 0
    assert "generation 2 of 0, 1, 2" in capsys.readouterr().out
