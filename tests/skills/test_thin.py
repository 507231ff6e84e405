"""A copy of a library that remembers less: every generation acts the same, and later routers still learn from what is left."""

from pathlib import Path

import numpy as np
import pytest

from dmpel_core.admission.gate import admit
from dmpel_core.errors import DmpelError
from dmpel_core.experts import thin
from dmpel_core.experts.keeping import keep_beside
from dmpel_core.experts.library import Library, generations, read_library, select_generation
from tests.skills.arguments import run
from tests.skills.small import SAMPLES


def test_every_generation_of_the_copy_acts_the_same_and_remembers_a_share(own: Library, tmp_path: Path) -> None:
    keep_beside(own, "alarm", {"limit": np.ones(1, np.float32)})
    select_generation(own.path, 2)
    assert run(thin, str(own.path), str(tmp_path / "thin"), "--replay", "0.25") == 0
    assert generations(tmp_path / "thin") == generations(own.path) == (0, 1, 2, 3)
    assert read_library(tmp_path / "thin").generation == 2, "the one in use stays in use"
    for number in range(4):
        whole, copy = read_library(own.path, number), read_library(tmp_path / "thin", number)
        assert (copy.manifest.backbone, copy.manifest.router, copy.manifest.graphs) == (
            whole.manifest.backbone, whole.manifest.router, whole.manifest.graphs,
        )  # fmt: skip
        assert [expert.factors for expert in copy.experts] == [expert.factors for expert in whole.experts]
        assert copy.manifest.alarm is None, "it was calibrated on the whole memory"
        for index in range(number):
            before, after = whole.replay(index), copy.replay(index)
            assert after["features"].shape == (SAMPLES // 4, before["features"].shape[1])
            rows = [int(np.flatnonzero((before["features"] == row).all(1))[0]) for row in after["features"]]
            assert len(set(rows)) == len(rows), "no sample twice"
            for part in ("index", "coefficient"):
                np.testing.assert_array_equal(after[part], before[part][rows])
            np.testing.assert_array_equal(after["text"], before["text"])


def test_the_gate_still_admits_a_generation_of_the_copy(own: Library, tmp_path: Path) -> None:
    run(thin, str(own.path), str(tmp_path / "thin"), "--replay", "0.001")
    copy = read_library(tmp_path / "thin")
    assert len(copy.replay(0)["features"]) == 1, "at least one stays"
    assert not admit(read_library(copy.path, 2), copy).refused


@pytest.mark.parametrize("share", ["0", "1.5", "nan"])
def test_a_share_that_is_none_is_refused(own: Library, tmp_path: Path, share: str) -> None:
    with pytest.raises(DmpelError, match="expected more than 0 and at most 1"):
        run(thin, str(own.path), str(tmp_path / "thin"), "--replay", share)
    assert not (tmp_path / "thin").exists()


def test_nothing_is_written_over(own: Library, tmp_path: Path) -> None:
    before = {place: place.read_bytes() for place in own.path.rglob("*") if place.is_file()}
    with pytest.raises(DmpelError, match="is not empty"):
        run(thin, str(own.path), str(own.path), "--replay", "0.5")
    assert all(place.read_bytes() == content for place, content in before.items())
