"""Official checkpoints as libraries and back: every golden case through files, and what does not fit."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from torch import Tensor, nn

from dmpel_core.errors import DmpelError
from dmpel_core.experts.library import Library, read_library
from dmpel_core.experts.pool import ExpertPool
from dmpel_core.experts.restore import restore_factors, restore_policy, restore_router
from dmpel_core.official import export_command, import_command
from dmpel_core.official.checkpoint import read_state
from dmpel_core.official.convert import import_state
from dmpel_core.official.names import POSITION_IDS
from dmpel_core.policy.clip_text import ClipTextTower
from dmpel_core.policy.presets import CLIP_VIT_B16, read_sizes
from dmpel_core.training.learn import learn, stored_memories
from dmpel_core.training.run import Run
from dmpel_core.training.settings import LearnSettings
from tests.core.conftest import write_noise
from tests.core.golden import Case, case_paths, load_case
from tests.core.golden_outputs import Built, rollout, train
from tests.core.golden_table import limit_of, relative

CASES = case_paths()
EXPERT = ("_pool", "_frozen_mask")
MEAN = "policy_head.mean_layer.weight"


@pytest.fixture(params=CASES, ids=[path.name for path in CASES])
def case(request: pytest.FixtureRequest) -> Case:
    return load_case(request.param)


@pytest.fixture
def pool3() -> Case:
    return load_case(next(path for path in CASES if path.name == "pool3"))


def command(module: object, *words: object) -> int:
    """Run a command as `dmpel` does."""
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)  # type: ignore[attr-defined]
    return module.run(parser.parse_args([str(word) for word in words]))  # type: ignore[attr-defined]


def save(path: Path, state: dict[str, Tensor]) -> Path:
    torch.save({"state_dict": state, "cfg": argparse.Namespace(seed=100), "previous_masks": None}, path)
    return path


def sizes_file(case: Case, folder: Path) -> Path:
    (folder / "sizes.json").write_text(json.dumps(case.sizes.to_json()))
    return folder / "sizes.json"


def imported(case: Case, folder: Path, state: dict[str, Tensor] | None = None, *words: object) -> Library:
    """Write a checkpoint and import it."""
    checkpoint = save(folder / "task.pth", case.weights if state is None else state)
    assert command(import_command, checkpoint, "--to", folder / "library", "--sizes", sizes_file(case, folder), *words) == 0
    return read_library(folder / "library")


def assert_same(found: dict[str, Tensor], given: dict[str, Tensor]) -> None:
    assert found.keys() == given.keys()
    for name, value in given.items():
        assert found[name].dtype == value.dtype, name
        assert torch.equal(found[name], value), name


def without_experts(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return what a pretrained policy has."""
    return {name: value for name, value in state.items() if not name.endswith(EXPERT) and not name.startswith("moe_router")}


def test_an_imported_library_gives_the_published_numbers(case: Case, tmp_path: Path) -> None:
    library = imported(case, tmp_path)
    built = Built.__new__(Built)
    built.case, built.policy = case, restore_policy(library)
    assert isinstance(built.policy.text, ClipTextTower)
    built.text = built.policy.text
    experts = [{name: nn.Parameter(value) for name, value in expert.items()} for expert in restore_factors(library)]
    built.old, built.newest = experts[:-1], experts[-1]
    built.pool = ExpertPool(built.policy.modules_adapted, built.old, built.newest)
    built.router = restore_router(library, built.policy.sizes, built.policy.query_width).requires_grad_(True)
    found = {**train(built), **rollout(built)}
    compared = [name for name in case.arrays if name in found]
    assert len(compared) > 20
    for name in compared:
        assert relative(found[name].detach().numpy(), case.arrays[name]) <= limit_of(name), name


def test_import_and_export_give_every_tensor_back(case: Case, tmp_path: Path) -> None:
    library = imported(case, tmp_path)
    assert library.generation == len(library.experts) == case.experts
    assert [expert.name for expert in library.experts] == [f"expert {number + 1}" for number in range(case.experts)]
    assert command(export_command, library.path, "--to", tmp_path / "again.pth") == 0
    assert_same(read_state(tmp_path / "again.pth"), case.weights)
    assert_same(torch.load(tmp_path / "again.pth", weights_only=True)["state_dict"], case.weights)


def test_a_pretrained_policy_becomes_a_library_without_experts(case: Case, tmp_path: Path) -> None:
    ids = torch.arange(len(case.weights["language_encoder_spatial.model.embeddings.position_embedding.weight"]))[None]
    state = {**without_experts(case.weights), POSITION_IDS: ids}
    library = imported(case, tmp_path, state)
    assert (library.generation, library.experts) == (0, ())
    assert command(export_command, library.path, "--to", tmp_path / "again.pth", "--position-ids") == 0
    assert_same(read_state(tmp_path / "again.pth"), state)


def test_a_task_file_with_the_trained_tensors_only_needs_the_pretrained_policy(case: Case, tmp_path: Path) -> None:
    task = {name: value for name, value in case.weights.items() if name not in without_experts(case.weights) or "inv_freq" in name}
    with pytest.raises(DmpelError, match="--backbone"):
        imported(case, tmp_path, task)
    backbone = save(tmp_path / "pretrained.pth", without_experts(case.weights))
    library = imported(case, tmp_path, task, "--backbone", backbone)
    command(export_command, library.path, "--to", tmp_path / "again.pth")
    assert_same(read_state(tmp_path / "again.pth"), case.weights)
    other = save(tmp_path / "other.pth", {**without_experts(case.weights), MEAN: case.weights[MEAN] + 1})
    with pytest.raises(DmpelError, match=f"different values of {MEAN}"):
        imported(case, tmp_path, case.weights, "--backbone", other)


def changed(state: dict[str, Tensor], name: str, axis: int) -> dict[str, Tensor]:
    """Return the state dict with one row or column of a tensor cut off."""
    return {**state, name: state[name].narrow(axis, 0, state[name].shape[axis] - 1).clone()}


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda s: changed(s, MEAN, 1), rf"{MEAN} is \(35, 23\), expected \(35, 24\)"),
        (lambda s: changed(s, "fusion_module.0.weight", 0), r"fusion_module.0.weight is \(23, 32\), expected \(24, 32\)"),
        (lambda s: changed(s, "policy_head.share.0.A_pool", 1), r"share.0.A_pool is \(3, 47, 4\), expected \(3, 48, 4\)"),
        (lambda s: changed(s, "policy_head.share.2.B_pool", 0), r"share.2.B_pool is \(2, 4, 24\), expected \(3, 4, 24\)"),
        (lambda s: changed(s, "moe_router.encoder.0.weight", 1), r"moe_router.encoder.0.weight is \(20, 136\), expected \(20, 137\)"),
        (lambda s: changed(s, "policy_head.mean_layer._frozen_mask", 0), r"_frozen_mask is \(2,\), expected \(3,\)"),
        (lambda s: {k: v for k, v in s.items() if k != "policy_head.share.2.bias"}, "policy_head.share.2.bias is missing"),
        (lambda s: {k: v for k, v in s.items() if k != MEAN}, MEAN),
        (lambda s: {k: v for k, v in s.items() if not k.startswith("moe_router")}, r"moe_router.encoder.4.weight is missing"),
        (lambda s: {k: v for k, v in s.items() if not k.endswith("proj.A_pool")}, r"q_proj.A_pool is missing.*v_proj.A_pool is missing"),
        (lambda s: {**s, "surprise": torch.zeros(2)}, "surprise is unexpected"),
    ],
)
def test_what_does_not_fit_is_named(pool3: Case, tmp_path: Path, spoil: Callable, words: str) -> None:
    with pytest.raises(DmpelError, match=words):
        import_state(spoil(pool3.weights), tmp_path / "library", source="file", base=pool3.sizes)
    assert not (tmp_path / "library").exists()


def test_instructions_and_tokenizer_come_along(pool3: Case, tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("open the drawer\nturn on the stove\n\nput the bowl on the plate\n")
    (tmp_path / "tokenizer.json").write_text(small_tokenizer())
    library = imported(pool3, tmp_path, None, "--instructions", tmp_path / "lines.txt", "--tokenizer", tmp_path)
    assert [expert.instructions for expert in library.experts] == [
        ("open the drawer",), ("turn on the stove",), ("put the bowl on the plate",),
    ]  # fmt: skip
    assert restore_policy(library).text.trunk("open stove").shape == (1, 3, 32)
    with pytest.raises(DmpelError, match="2 instructions for 3 experts"):
        import_state(pool3.weights, tmp_path / "other", source="file", base=pool3.sizes, instructions=["a", "b"])


def small_tokenizer() -> str:
    """Return the file of a tokenizer of two words that ends sentences as CLIP's does."""
    tokenizer = Tokenizer(WordLevel({"<unknown>": 0, "open": 1, "stove": 2, "<end>": 99}, "<unknown>"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(single="$A <end>", special_tokens=[("<end>", 99)])
    return tokenizer.to_str()


def test_learning_on_imported_experts_asks_first(pool3: Case, tmp_path: Path) -> None:
    library = imported(pool3, tmp_path)
    with pytest.raises(DmpelError, match=r"'expert 1', 'expert 2', 'expert 3' came without replay memory.*--without-replay"):
        stored_memories(library)
    assert stored_memories(library, without_replay=True) == []


def test_a_task_learned_on_imported_experts_is_exported_with_them(pool3: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DMPEL_CACHE", str(tmp_path / "cache"))
    (tmp_path / "tokenizer.json").write_text(small_tokenizer())
    library = imported(pool3, tmp_path, None, "--tokenizer", tmp_path)
    data, settings = write_noise(tmp_path / "a.hdf5", "open stove", 0, (6, 5)), LearnSettings(seed=1, steps=2, batch=2, views=1)
    with pytest.raises(DmpelError, match="--without-replay"):
        learn(library, [data], settings, Run(tmp_path / "run", "learn"), 0.5, 2)
    grown = learn(library, [data], settings, Run(tmp_path / "run", "learn"), 0.5, 2, without_replay=True)
    assert (grown.generation, len(grown.replay(3)["features"])) == (4, 6)
    command(export_command, grown.path, "--to", tmp_path / "again.pth")
    state = read_state(tmp_path / "again.pth")
    assert state.keys() == pool3.weights.keys()
    for name, value in pool3.weights.items():
        if name.endswith("_pool"):
            assert torch.equal(state[name][:3], value), name
            assert len(state[name]) == 4
    command(export_command, grown.path, "--generation", 3, "--to", tmp_path / "before.pth")
    assert_same(read_state(tmp_path / "before.pth"), pool3.weights)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "expected an object"),
        ("{", "cannot be read"),
        ('{"depths": 4}', "depths"),
        ('{"vision": {"depths": 4}}', "depths"),
        ('{"coefficient_dropout": 0.1}', "coefficient_dropout, which is no size but a setting of training"),
    ],
)
def test_odd_sizes_are_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "sizes.json").write_text(text)
    with pytest.raises(DmpelError, match=words):
        read_sizes(tmp_path / "sizes.json", CLIP_VIT_B16)


def test_the_small_preset_has_no_official_form(library: Library, tmp_path: Path) -> None:
    with pytest.raises(DmpelError, match="only a policy with CLIP's towers has official names"):
        command(export_command, library.path, "--to", tmp_path / "file.pth")
    assert not (tmp_path / "file.pth").exists()
