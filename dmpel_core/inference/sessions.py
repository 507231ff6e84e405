"""A library's graphs as ONNX Runtime sessions, their weights taken from the library's own checked files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnxruntime

from dmpel_core.experts.manifest import LibraryError
from dmpel_core.inference.graph_file import wanted_weights

PROVIDERS = ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider")
"""Fastest first. What is asked for and what a session ends on may differ without an error: see `Sessions.provider`."""


@dataclass(frozen=True)
class Sessions:
    """The stages of one backbone, ready to run.

    Attributes:
        stages: Session by stage name.
        provider: The execution provider that all of them really run on.
    """

    stages: Mapping[str, onnxruntime.InferenceSession]
    provider: str

    def run(self, stage: str, *inputs: np.ndarray) -> list[np.ndarray]:
        """Run a stage on its inputs, in the order in which they were exported."""
        session = self.stages[stage]
        return session.run(None, {place.name: value for place, value in zip(session.get_inputs(), inputs, strict=True)})


def open_sessions(
    graphs: Mapping[str, bytes], weights: Mapping[str, Mapping[str, np.ndarray]], threads: int, providers: Sequence[str] = PROVIDERS
) -> Sessions:
    """Open every graph.

    Args:
        graphs: File content by stage name.
        weights: Tensors by the place that graphs name, `backbone` or `text`.
        threads: Threads of one stage; stages run one after another.
        providers: Execution providers in order of preference; those that this onnxruntime lacks are passed over.

    Raises:
        LibraryError: A graph is damaged, or wants a weight that its place does not have.
    """
    available = [name for name in providers if name in onnxruntime.get_available_providers()]
    if not available:
        have = ", ".join(onnxruntime.get_available_providers())
        raise LibraryError(f"none of the execution providers {', '.join(providers)} is in this onnxruntime, which has {have}")
    stages = {name: _open(name, data, weights, threads, available) for name, data in graphs.items()}
    used = {session.get_providers()[0] for session in stages.values()}
    if len(used) > 1:
        raise LibraryError(f"the stages ended on different execution providers, {', '.join(sorted(used))}: name one that works")
    return Sessions(stages, used.pop())


def _open(
    name: str, data: bytes, weights: Mapping[str, Mapping[str, np.ndarray]], threads: int, providers: Sequence[str]
) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads would take the simulator's core
    wanted = wanted_weights(data, f"graph {name!r}")
    options.add_external_initializers(list(wanted), [_weight(name, key, place, weights) for key, place in wanted.items()])
    try:
        return onnxruntime.InferenceSession(data, options, providers=list(providers))
    except (RuntimeError, ValueError, onnxruntime.capi.onnxruntime_pybind11_state.Fail) as error:
        raise LibraryError(f"graph {name!r} cannot be opened ({error}): export the library again with this version") from error


def _weight(graph: str, key: str, place: str, weights: Mapping[str, Mapping[str, np.ndarray]]) -> onnxruntime.OrtValue:
    if place not in weights or key not in weights[place]:
        raise LibraryError(f"graph {graph!r} wants weight {key!r} of {place!r}, which the library does not have: export it again")
    return onnxruntime.OrtValue.ortvalue_from_numpy(weights[place][key])
