"""Graphs in a library: structure only, pinned by their hash, written once; and what a hostile one may not do."""

import argparse
import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from dmpel_core.experts.library import LibraryError, generations, keep_graphs, open_library, read_library, select_generation
from dmpel_core.experts.manifest import Manifest
from dmpel_core.inference.export import command
from dmpel_core.inference.export.command import export_library
from dmpel_core.inference.export.stages import STAGES, write_graphs
from dmpel_core.inference.graph_file import wanted_weights
from dmpel_core.inference.onnx_engine import OnnxEngine
from dmpel_core.inference.sessions import Binding, open_sessions
from dmpel_core.policy.policy import Policy
from dmpel_core.policy.presets import CLIP_VIT_B16
from dmpel_core.training.interface import library_modules
from tests.core.conftest import TINY
from tests.core.engines import actions, grow, make_exported, observations

ROOT = Path(__file__).parents[2]


def test_the_command_gives_every_generation_of_a_library_its_graphs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = shutil.copytree(ROOT / "models/libero_goal", tmp_path / "library")
    shutil.rmtree(path / "graphs")
    for file in (path / "manifest.json", *path.glob("manifests/*.json")):
        manifest = json.loads(file.read_text())
        del manifest["graphs"]
        file.write_text(json.dumps(manifest))
    before = {number: read_without_graphs(path, number) for number in generations(path)}
    assert command.run(argparse.Namespace(library=path)) == 0
    assert "9 graphs" in capsys.readouterr().out
    for number, manifest in before.items():
        found = read_library(path, number)
        assert found.manifest.graphs
        assert read_without_graphs(path, number) == manifest, "nothing else of a generation changes"
    assert sum(file.stat().st_size for file in path.glob("graphs/*")) < 200_000, "no weight is in them"


def read_without_graphs(path: Path, generation: int) -> Manifest:
    """Return a generation's manifest but for its graphs."""
    return replace(open_library(path, generation).manifest, graphs=())


def test_no_expert_is_in_the_graphs(tmp_path: Path) -> None:
    library = make_exported(tmp_path / "library", TINY)
    graphs = library.graphs()
    assert list(graphs) == [*STAGES, "trunk_quantised", "look_quantised", "encode_quantised"]
    grown = grow(grow(library, "first"), "second")
    assert grown.graphs() == graphs
    assert export_library(grown.path).graphs() == graphs, "they depend on the sizes alone"
    stored = [numpy_helper.to_array(tensor) for data in graphs.values() for tensor in onnx.load_from_string(data).graph.initializer
              if tensor.data_location != TensorProto.EXTERNAL]  # fmt: skip
    assert max(array.nbytes for array in stored) < 1 << 16, "constants of the arithmetic, not weights"


def test_the_published_size_wants_every_weight_of_the_backbone_and_every_factor_once() -> None:
    """Without its 0.7 GB of weights: names and shapes alone."""
    with torch.device("meta"):
        policy = Policy(CLIP_VIT_B16)
    weights = {name: tuple(tensor.shape) for name, tensor in policy.backbone_state().items()}
    graphs = write_graphs(CLIP_VIT_B16, library_modules(policy), weights)
    plain = [onnx.load_from_string(graphs[stage]).graph for stage in STAGES]
    wanted = {name: shape for stage in STAGES for name, shape in wanted_weights(graphs[stage], stage).items()}
    assert wanted.items() <= weights.items()
    kept_elsewhere = {"text.words.weight", "text.position.weight", "proprioception.mean", "proprioception.std"}
    assert {name for name in weights.keys() - wanted.keys() if "unused" not in name} <= kept_elsewhere
    factors = [value for graph in plain for value in graph.input if value.name.startswith("mixed.")]
    numbers = [math.prod(size.dim_value for size in value.type.tensor_type.shape.dim) for value in factors]
    assert len({value.name for value in factors}) == len(factors)
    assert sum(numbers) == 652_608, "the numbers of one expert"
    assert sum(map(len, graphs.values())) < 400_000, "no weight is in them"


def test_graphs_survive_another_generation(tmp_path: Path) -> None:
    library = make_exported(tmp_path / "library", TINY, 2)
    chosen = select_generation(library.path, 1)
    assert chosen.graphs() == library.graphs()
    assert actions(OnnxEngine(library.path), observations(2)).shape == (2, 7)


def test_an_exchanged_graph_is_refused(tmp_path: Path) -> None:
    library = make_exported(tmp_path / "library", TINY)
    file = next((library.path / "graphs").glob("look-*"))
    file.write_bytes(file.read_bytes()[:-1] + b"\0")
    for read in (read_library, OnnxEngine):
        with pytest.raises(LibraryError, match=r"look-.*damaged or was exchanged"):
            read(library.path)


def test_a_graph_of_another_policy_is_refused(tmp_path: Path) -> None:
    library = make_exported(tmp_path / "library", TINY)
    keep_graphs(library.path, {**library.graphs(), "act": one_node(weights=[external("head.mean.bias", "library")])})
    with pytest.raises(LibraryError, match=r"'head.mean.bias' of shape \(2,\), the library has \(63,\)"):
        OnnxEngine(library.path)
    keep_graphs(library.path, {stage: data for stage, data in library.graphs().items() if stage != "look"})
    with pytest.raises(LibraryError, match="this version needs trunk, look"):
        OnnxEngine(library.path)
    keep_graphs(library.path, {**library.graphs(), "act": b"\x08\x0a no graph"})
    with pytest.raises(LibraryError, match="'act' is no ONNX graph"):
        OnnxEngine(library.path)


def external(name: str, place: str, **more: str) -> TensorProto:
    """Return an initializer whose data lie elsewhere."""
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": place, **more}.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def one_node(weights: list[TensorProto], **attributes: object) -> bytes:
    """Return a graph of one node."""
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])
    node = helper.make_node("Constant" if attributes else "Identity", [] if attributes else [weights[0].name], ["y"], **attributes)
    graph = helper.make_graph([node], "tiny", [], [y], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10).SerializeToString()


def with_function(data: bytes) -> bytes:
    model = onnx.load_from_string(data)
    model.functions.add(name="f", domain="d")
    return model.SerializeToString()


def with_subgraph(data: bytes) -> bytes:
    model = onnx.load_from_string(data)
    model.graph.node[0].attribute.append(helper.make_attribute("then_branch", model.graph))
    return model.SerializeToString()


def with_sparse(data: bytes) -> bytes:
    model = onnx.load_from_string(data)
    model.graph.sparse_initializer.add(dims=[2])
    return model.SerializeToString()


GOOD = one_node([external("w", "library")])
HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "weights from a file": (lambda: one_node([external("w", "/etc/passwd")]), "wants weights from the file '/etc/passwd'"),
    "weights from a part of a file": (lambda: one_node([external("w", "library", offset="4")]), "wants weights from"),
    "a constant from a file": (lambda: one_node([], value=external("c", "secret")), "a constant from another file"),
    "functions": (lambda: with_function(GOOD), "defines functions"),
    "a graph in a node": (lambda: with_subgraph(GOOD), "inside a node"),
    "sparse weights": (lambda: with_sparse(GOOD), "sparse weights"),
    "a cut file": (lambda: GOOD[:-3], "no ONNX graph"),
    "text": (lambda: b"not a graph at all", "no ONNX graph"),
}


@pytest.mark.parametrize(("make", "fault"), HOSTILE.values(), ids=HOSTILE)
def test_what_no_graph_of_a_library_has_is_refused(make: Callable[[], bytes], fault: str) -> None:
    with pytest.raises(LibraryError, match=fault):
        wanted_weights(make(), "graph")


def test_weights_are_fed_and_arrays_are_bound_where_they_lie() -> None:
    assert wanted_weights(GOOD, "graph") == {"w": (2,)}
    weight, found = np.array([1.0, 2.0], np.float32), np.zeros(2, np.float32)
    session = open_sessions({"one": GOOD}, {"w": weight})["one"]
    weight[:] = 7  # a session must have its own copy: nobody keeps the library's tensors
    Binding(session, {}, {"y": found}).run()
    np.testing.assert_array_equal(found, [1, 2])
    with pytest.raises(LibraryError, match="'y' that this version does not know"):
        Binding(session, {}, {})
