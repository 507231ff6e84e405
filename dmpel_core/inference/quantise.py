"""Weights of the image tower's blocks in eight bits, made when a library is opened; nothing is stored.

Plain quantisation ruins CLIP's features: a few channels of a token are far larger than the others, and a few tokens than the
others. So (a) every token is divided by its largest number before it is quantised; (b) what a layer norm makes large in a channel is
made smaller and the weights behind it larger by as much (Xiao et al. 2023, SmoothQuant), judged by the norm's own gain and shift.
Weights use seven bits: on a processor without VNNI products of two are added in sixteen bits and would be cut off with eight.
"""

from collections.abc import Mapping

import numpy as np

LARGEST = 63  # of a quantised weight: 2 * 255 * 63 fits into 16 bits
SPREAD = 3.0  # standard deviations, how far a normed channel is taken to reach
STAGES = ("trunk", "look", "encode")
"""What is there in eight bits too, as `trunk_quantised` and so on."""
SUFFIX = "_quantised"

_TOWER = ("image.frozen.", "image.blocks.")
_LAYERS = {".attention.qkv": ".norm1", ".attention.out": "", ".up": ".norm2", ".down": ""}
"""The layers of a block that are quantised, and the layer norm before each."""


def is_quantised(layer: str) -> bool:
    """Return whether a layer of this name multiplies in eight bits in the quantised stages."""
    return layer.startswith(_TOWER) and layer.endswith(tuple(_LAYERS))


def norm_before(layer: str) -> str:
    """Return the name of the layer norm whose output a quantised layer takes; "" where there is none."""
    end = next(end for end in _LAYERS if layer.endswith(end))
    return layer.removesuffix(end) + _LAYERS[end] if _LAYERS[end] else ""


def with_quantised(weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the weights with `<layer>.int8` (inputs, outputs), `<layer>.scale` (outputs) and `<layer>.fold` (inputs) beside them."""
    layers = [name.removesuffix(".weight") for name in weights if name.endswith(".weight")]
    found = dict(weights)
    for layer in filter(is_quantised, layers):
        weight, norm = np.asarray(weights[f"{layer}.weight"], np.float32), norm_before(layer)
        if norm:
            fold = _fold(weight, weights[f"{norm}.weight"], weights[f"{norm}.bias"])
            weight = weight / fold
            found[f"{layer}.fold"] = fold
        scale = np.maximum(np.abs(weight).max(1), np.finfo(np.float32).tiny) / LARGEST
        found[f"{layer}.scale"] = scale
        found[f"{layer}.int8"] = np.ascontiguousarray(np.rint(weight / scale[:, None]).T, np.int8)
    return found


def _fold(weight: np.ndarray, gain: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Return what each channel is multiplied by, so that its own reach and that of its weights become equal."""
    inputs = np.maximum(SPREAD * np.abs(gain) + np.abs(shift), 1e-5)
    return np.sqrt(np.maximum(np.abs(weight).max(0), 1e-5) / inputs).astype(np.float32)
