"""Every array of every golden case: the published policy's numbers, reproduced by the ordinary classes."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from dmpel_core.errors import DmpelError
from tests.core.golden import ROOT, case_paths, load_case, sizes_for
from tests.core.golden_table import array_names, error_of, limit_of, lines

ARRAYS = [(path, name) for path in case_paths() for name in array_names(path)]


@pytest.mark.parametrize(("path", "name"), ARRAYS, ids=[f"{path.name}-{name}" for path, name in ARRAYS])
def test_golden_array(path: Path, name: str) -> None:
    assert error_of(path, name) <= limit_of(name)


def test_the_table_names_every_case() -> None:
    table = "\n".join(lines())
    assert all(path.name in table for path in case_paths())


def test_a_folder_without_cases_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DMPEL_GOLDEN", str(tmp_path))
    with pytest.raises(DmpelError, match="no golden case"):
        case_paths()
    shutil.copy(ROOT / "tests/golden/pool1.npz", tmp_path)
    with pytest.raises(DmpelError, match=r"pool1 .* lacks pool1.json, pool1.safetensors"):
        case_paths()


def test_what_is_not_known_fails(tmp_path: Path) -> None:
    for suffix in (".json", ".npz", ".safetensors"):
        shutil.copy(ROOT / f"tests/golden/pool1{suffix}", tmp_path)
    path = tmp_path / "pool1"
    np.savez(path.with_suffix(".npz"), **load_case(path).arrays, out_surprise=np.zeros(1))
    load_case.cache_clear()
    with pytest.raises(DmpelError, match="'out_surprise'"):
        error_of(path, "out_surprise")
    settings = json.loads(path.with_suffix(".json").read_text())
    for change in ({"merge": "output"}, {"lora_alpha": 8}, {"head_dim": 5}, {"surprise": 1}, {"image_lora_layers": [0, 1, 2, 3]}):
        with pytest.raises(DmpelError, match=next(iter(change))):
            sizes_for({**settings, **change})
