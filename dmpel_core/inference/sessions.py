"""A library's graphs as ONNX Runtime sessions, their weights fed from the library's own checked files."""

import logging
from collections.abc import Mapping

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as fault

from dmpel_core.errors import DmpelError
from dmpel_core.experts.manifest import LibraryError
from dmpel_core.inference.graph_file import wanted_weights

PROVIDERS = {"tensorrt": "TensorrtExecutionProvider", "cuda": "CUDAExecutionProvider", "cpu": "CPUExecutionProvider"}
"""Execution providers by the names that we use, fastest first."""

SLOW_FUSIONS = ["SkipLayerNormFusion"]
"""On a processor a sum and its layer norm fused into one operator take four times as long as the two (ONNX Runtime 1.31)."""

GRAPH_ERRORS = (fault.Fail, fault.InvalidArgument, fault.InvalidGraph, fault.InvalidProtobuf, fault.NotImplemented, fault.RuntimeException)

log = logging.getLogger(__name__)


def open_sessions(
    graphs: Mapping[str, bytes], weights: Mapping[str, np.ndarray], threads: int = 1, provider: str = "auto"
) -> dict[str, onnxruntime.InferenceSession]:
    """Open every graph.

    Args:
        graphs: File content by stage name.
        weights: Tensors by the names that the graphs give them.
        threads: Threads of one stage; stages run one after another.
        provider: One of `PROVIDERS`, or `auto` for the first of them that works here.

    Raises:
        DmpelError: A graph is damaged or wants a weight that the library does not have, or the provider does not work here.
    """
    offered = _offered(provider)
    sessions = {name: _open(name, data, weights, threads, offered) for name, data in graphs.items()}
    # A session that cannot use its provider falls back without an error, so only the session itself knows.
    used = {session.get_providers()[0] for session in sessions.values()}
    log.info("policy runs on %s with %d threads", ", ".join(sorted(used)), threads)
    if provider != "auto" and used != {PROVIDERS[provider]}:
        raise DmpelError(
            f"execution provider {provider!r} does not work here, the graphs ended on {', '.join(sorted(used))}: choose 'auto'"
        )
    return sessions


def _offered(provider: str) -> list[str]:
    """Return the providers to offer to sessions, in order."""
    if provider != "auto" and provider not in PROVIDERS:
        raise DmpelError(f"there is no execution provider {provider!r}; choose auto or one of {', '.join(PROVIDERS)}")
    wanted = list(PROVIDERS.values()) if provider == "auto" else [PROVIDERS[provider], PROVIDERS["cpu"]]
    return [name for name in dict.fromkeys(wanted) if name in onnxruntime.get_available_providers()]


def _open(name: str, data: bytes, weights: Mapping[str, np.ndarray], threads: int, providers: list[str]) -> onnxruntime.InferenceSession:
    wanted = wanted_weights(data, f"graph {name!r}")
    for weight, shape in wanted.items():
        found = weights[weight].shape if weight in weights else None
        if found != shape:
            raise LibraryError(
                f"graph {name!r} wants weight {weight!r} of shape {shape}, the library has {found}: write it again with `dmpel export`"
            )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads would take the simulator's core
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(_number(weights[weight])) for weight in wanted]
    options.add_external_initializers(list(wanted), values)
    slow = SLOW_FUSIONS if providers == [PROVIDERS["cpu"]] else ()
    try:
        return onnxruntime.InferenceSession(data, options, providers=providers, disabled_optimizers=slow)
    except GRAPH_ERRORS as error:
        raise LibraryError(f"graph {name!r} cannot be opened ({error}): write it again with `dmpel export`") from error


def _number(weight: np.ndarray) -> np.ndarray:
    """Return a weight as graphs take it: in eight bits where it was made so, else as float32."""
    return np.asarray(weight, np.int8 if weight.dtype == np.int8 else np.float32, order="C")


class Binding:
    """One stage with the arrays that it reads and writes, fixed in advance so that a run allocates and copies nothing.

    Args:
        session: The stage.
        inputs: Array of every input; they are read where they lie, so writing to them changes the next run.
        outputs: Array of every output.
    """

    def __init__(self, session: onnxruntime.InferenceSession, inputs: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]) -> None:
        wanted = {place.name for place in session.get_inputs()}, {place.name for place in session.get_outputs()}
        if wanted[0] - inputs.keys() or wanted[1] - outputs.keys():
            odd = sorted((wanted[0] - inputs.keys()) | (wanted[1] - outputs.keys()))
            raise LibraryError(
                f"a graph of this library has the place {odd[0]!r} that this version does not know: write it with `dmpel export`"
            )
        self._run, self._bound = session.run_with_iobinding, session.io_binding()
        self._held: list[tuple[np.ndarray, onnxruntime.OrtValue]] = []  # ONNX Runtime keeps no reference to the arrays
        for name in wanted[0]:
            self._bound.bind_ortvalue_input(name, self._hold(inputs[name]))
        for name in wanted[1]:
            self._bound.bind_ortvalue_output(name, self._hold(outputs[name]))

    def _hold(self, array: np.ndarray) -> onnxruntime.OrtValue:
        assert array.flags.c_contiguous, "a copy would be bound instead of the array itself"
        value = onnxruntime.OrtValue.ortvalue_from_numpy(array)
        self._held.append((array, value))
        return value

    def run(self) -> None:
        """Compute the outputs from what stands in the inputs now."""
        self._run(self._bound)
