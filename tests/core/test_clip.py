"""CLIP's towers against transformers' own, and the counts of the published policy."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from dmpel_core.errors import DmpelError
from dmpel_core.experts.library import create_library
from dmpel_core.experts.router import Router
from dmpel_core.inference.torch_engine import TorchEngine
from dmpel_core.observation import Observation
from dmpel_core.official.clip import load_clip
from dmpel_core.official.names import IMAGE, Layout, backbone_names, to_official
from dmpel_core.policy.clip_text import ClipTextTower
from dmpel_core.policy.policy import Policy
from dmpel_core.policy.presets import CLIP_VIT_B16, preset
from dmpel_core.policy.sizes import LanguageSizes, PolicySizes, VisionSizes
from dmpel_core.policy.vision import prepare
from dmpel_core.training.datasets import load_all
from dmpel_core.training.interface import OBSERVATION, library_modules
from dmpel_core.training.learn import learn
from dmpel_core.training.pictures import PictureSet
from dmpel_core.training.pretrain import pretrain
from dmpel_core.training.run import Run
from dmpel_core.training.settings import LearnSettings, PretrainSettings
from tests.core.conftest import write_noise

WORDS = ["<|startoftext|>", "<|endoftext|>", *"abdelnoprstuvw", *(f"{letter}</w>" for letter in "abdelnoprstuvw"), "pu", "put</w>"]
TINY_CLIP = PolicySizes(
    pixels=20, image_width=32, width=32, heads=4, film_hidden=16, temporal_blocks=2, window=4, head_hidden=24, modes=3, chunk=1,
    rank=4, tower_rank=2, router_hidden=16, minimum_std=1e-4, adapt="query_value", temporal_hidden=40, temporal_activation="gelu_tanh",
    hidden_dropout=0.1, drop_path=0.1, waypoint=False,
    vision=VisionSizes(16, 4, 3, (1, 2), 4, 64, "quick_gelu", 24),
    language=LanguageSizes(24, 3, (1, 2), 4, 48, 16, 8, len(WORDS), 1, 24),
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A CLIP model of the same sizes with random weights, as transformers saves it."""
    torch.manual_seed(0)
    text = {"vocab_size": len(WORDS), "hidden_size": 24, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4}
    text |= {"max_position_embeddings": 16, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    vision = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "image_size": 16}
    model = CLIPModel(CLIPConfig(text_config=text, vision_config={**vision, "patch_size": 4}, projection_dim=24))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(tmp_path)
    merges = [("p", "u"), ("pu", "t</w>")]
    CLIPTokenizer(vocab={word: index for index, word in enumerate(WORDS)}, merges=merges).save_pretrained(tmp_path)
    return tmp_path


@pytest.fixture
def policy(folder: Path) -> Policy:
    """A policy that starts from that model."""
    policy = Policy(TINY_CLIP).eval()
    load_clip(policy, folder)
    return policy


def test_the_towers_are_those_of_transformers(folder: Path, policy: Policy) -> None:
    model, sentences = CLIPModel.from_pretrained(folder).eval(), ["put a doll on a table", "open"]
    assert isinstance(policy.text, ClipTextTower)
    pictures = torch.rand(5, 2, 3, 20, 26)
    with torch.inference_mode():
        ids, ends = policy.text.tokenise(sentences)
        attention = torch.arange(ids.shape[1]) <= ends[:, None]
        expected = model.text_projection(model.text_model(input_ids=ids, attention_mask=attention.long()).pooler_output)
        torch.testing.assert_close(policy.text.encode(policy.text.embed(ids), ends=ends), expected)
        torch.testing.assert_close(policy.text.encode(policy.text.trunk("open")), expected[1:])
        classes = policy.image.encode(policy.image.trunk(pictures))
        wanted = model.vision_model(pixel_values=prepare(pictures.flatten(0, 1), 16)).pooler_output.view(5, 2, 32)
        torch.testing.assert_close(classes, wanted)


def test_long_instructions_are_cut_and_end_with_the_end_token(policy: Policy) -> None:
    assert isinstance(policy.text, ClipTextTower)
    ids, ends = policy.text.tokenise(["put put put put put put put put put", "put"])
    assert ids.shape == (2, TINY_CLIP.language.tokens if TINY_CLIP.language else 0)
    assert ids[1].tolist() == [0, WORDS.index("put</w>"), 1, 1, 1, 1, 1, 1]
    assert ends.tolist() == [7, 2]


def test_timm_file_gives_the_same_tower(tmp_path: Path, folder: Path, policy: Policy) -> None:
    official = to_official(policy.state_dict())
    image = {name.removeprefix(f"{IMAGE}."): value for name, value in official.items() if name.startswith(IMAGE)}
    save_file({name: value.contiguous() for name, value in image.items()}, tmp_path / "timm.safetensors")
    other = Policy(TINY_CLIP)
    load_clip(other, folder, tmp_path / "timm.safetensors")
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in policy.state_dict().items() if name.startswith("image."))


def test_other_sizes_and_other_folders_are_refused(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(DmpelError, match=r"cannot be read from .*nothing"):
        load_clip(Policy(TINY_CLIP), tmp_path / "nothing")
    save_file({"cls_token": torch.zeros(1, 1, 31)}, tmp_path / "other.safetensors")
    with pytest.raises(DmpelError, match=r"shape \(1, 1, 31\), this policy has \(1, 1, 32\)"):
        load_clip(Policy(TINY_CLIP), folder, tmp_path / "other.safetensors")


def test_a_policy_keeps_its_tokenizer_in_its_backbone(policy: Policy) -> None:
    other = Policy(TINY_CLIP)
    with pytest.raises(DmpelError, match="without a tokenizer"):
        other.text.trunk("put")
    other.load_backbone(policy.backbone_state())
    torch.testing.assert_close(other.text.trunk("put"), policy.text.trunk("put"))
    assert other.text.identity() == policy.text.identity()
    with pytest.raises(DmpelError, match=r"missing \['image.norm.bias'\]"):
        other.load_backbone({name: value for name, value in policy.backbone_state().items() if name != "image.norm.bias"})


def test_pretraining_starts_from_clip_and_trains_both_towers(tmp_path: Path, folder: Path, policy: Policy) -> None:
    pairs = list(
        load_all([write_noise(tmp_path / "a.hdf5", "open a door", 0), write_noise(tmp_path / "b.hdf5", "put a doll on a table", 5)])
    )
    data, settings = PictureSet(pairs, TINY_CLIP, held_out=1), PretrainSettings(seed=0, steps=3, batch=2, held_out=1)
    trained = pretrain(data, settings, TINY_CLIP, Run(tmp_path / "run", "pretrain"), "digest", clip=folder).backbone_state()
    same = {name for name, value in policy.backbone_state().items() if torch.equal(value, trained[name])}
    unused = {"image.unused.weight", "image.unused.bias", "text.tokenizer", "proprioception.mean", "proprioception.std"}
    assert {name for name in same if name.startswith(("image.", "text.", "proprioception.m", "proprioception.s"))} == unused
    moved = (trained["image.position"] - policy.backbone_state()["image.position"]).abs().max()
    assert moved < 0.01, "a few steps from CLIP, not from chance"


def test_a_library_of_this_policy_learns_and_plays(tmp_path: Path, policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DMPEL_CACHE", str(tmp_path / "cache"))
    library = create_library(
        tmp_path / "library", backbone={name: value.numpy() for name, value in policy.backbone_state().items()}, policy=TINY_CLIP.to_json(),
        modules=library_modules(policy), text_encoder=policy.text.identity(), observation=OBSERVATION,
    )  # fmt: skip
    settings = LearnSettings(seed=0, steps=2, batch=2, views=1)
    for number, instruction in enumerate(("put a doll on a table", "open a door")):
        data = write_noise(tmp_path / f"{number}.hdf5", instruction, number, (5, 4))
        library = learn(library, [data], settings, Run(tmp_path / f"run-{number}", "learn"), 0.5, 1)
    assert {module.rank for module in library.modules} == {2, 4}

    def play(sample_seed: int | None) -> np.ndarray:
        engine, chance = TorchEngine(library.path, sample_seed=sample_seed), np.random.default_rng(0)
        engine.set_instruction("open a door")
        seen = [Observation(*chance.integers(0, 256, (2, 32, 32, 3), dtype=np.uint8), chance.normal(size=7), np.zeros(2)) for _ in range(6)]
        return np.stack([engine.tick(observation).action for observation in seen])

    assert play(None).shape == (6, 7)
    np.testing.assert_array_equal(play(3), play(3))
    assert not np.array_equal(play(3), play(4)), "the published policy draws its actions"


def count(shapes: list[torch.Size] | list[tuple[int, ...]]) -> int:
    return sum(torch.Size(shape).numel() for shape in shapes)


def test_the_published_policy_has_the_published_counts() -> None:
    with torch.device("meta"):
        policy = Policy(preset("clip-vit-b16"))
        routers = {k: Router(policy.query_width, CLIP_VIT_B16.router_hidden, k, CLIP_VIT_B16.top_k) for k in (1, 10)}
    assert count([value.shape for value in policy.parameters()]) == 174_130_251
    shapes = [shape for module in policy.modules_adapted for shape in module.shapes().values()]
    assert count(shapes) == 652_608
    assert [count([value.shape for value in routers[k].parameters()]) for k in (1, 10)] == [594_182, 608_060]
    assert policy.query_width == 2057
    assert len({module.name.removesuffix(".q").removesuffix(".v") for module in policy.modules_adapted if module.group != "text"}) == 22
    assert len([module for module in policy.modules_adapted if module.group == "text"]) == 12  # with the others 34 modules
    groups = {module.group: 0 for module in policy.modules_adapted}
    for module in policy.modules_adapted:
        groups[module.group] += count(list(module.shapes().values()))
    assert list(groups.values()) == [147_456, 98_304, 24_720, 40_960, 294_912, 46_256]


def test_an_expert_bias_costs_what_the_official_one_costs() -> None:
    with torch.device("meta"):
        policy = Policy(replace(CLIP_VIT_B16, expert_bias=True))
    assert count([shape for module in policy.modules_adapted for shape in module.shapes().values()]) == 652_608 + 4_171


def test_the_table_of_names_covers_the_policy() -> None:
    with torch.device("meta"):
        policy = Policy(CLIP_VIT_B16)
    assert set(backbone_names(Layout.of(CLIP_VIT_B16))) == {name for name, _ in policy.named_parameters()}


def test_presets_are_known_by_name() -> None:
    assert preset("small") == PolicySizes()
    assert PolicySizes.from_json(CLIP_VIT_B16.to_json()) == CLIP_VIT_B16
    with pytest.raises(DmpelError, match="choose one of small, clip-vit-b16"):
        preset("large")
