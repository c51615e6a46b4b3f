"""What a weights file says of itself: read without its tensors, and without torch."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from hypersharp.errors import InputError
from hypersharp.system.read_errors import check_regular

FORMAT = "hypersharp-1"
PART = ".part"  # in the name of a file that holds further tensors of weights, and its format
# network -> the method that runs it, where it has another name
METHOD_OF = {"ssjcn-subspace": "ssjcn", "ssjcn-v2": "ssjcn"}


@dataclass(frozen=True)
class WeightsHeader:
    """What a weights file says of itself, without its tensors.

    `options` are those of the network's dataclass; `wavelengths_nm` the band centres it was
    trained for; `provenance` data, protocol, steps, validation PSNR (dB), commit.
    """

    network: str
    options: dict[str, Any]
    wavelengths_nm: tuple[float, ...] | None = None
    provenance: dict[str, Any] = field(default_factory=dict)


def read_header(path: Path) -> WeightsHeader:
    """The header of a weights file, its tensors unread. Raises: InputError for a broken file or another program's."""
    try:
        check_regular(path)
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
    except (OSError, SafetensorError) as exc:
        found = f"{path}, which is missing, truncated or no safetensors file ({exc})"
        expected = "a weights file written by hypersharp"
        raise InputError(found, expected, "run `hypersharp weights` to see the packaged ones") from exc
    if metadata.get("format") != FORMAT:
        found = f"{path}, a safetensors file of another program"
        raise InputError(found, f"one whose metadata says format {FORMAT}", "train one with `hypersharp train`")
    try:
        return decode_header(metadata["header"])
    except (KeyError, TypeError, ValueError, RecursionError, OverflowError) as exc:
        found = f"{path} with an unreadable header ({exc})"
        raise InputError(found, "a header by hypersharp", "download or train the file again") from exc


def decode_header(text: str) -> WeightsHeader:
    """The header that `json.dumps(asdict(header))` wrote."""
    fields = json.loads(text)
    if fields["wavelengths_nm"] is not None:
        fields["wavelengths_nm"] = tuple(float(nm) for nm in fields["wavelengths_nm"])
    header = WeightsHeader(**fields)
    kinds = ((header.network, str), (header.options, dict), (header.provenance, dict))
    if not all(isinstance(value, kind) for value, kind in kinds):
        raise TypeError("a network's name, its options and its provenance are expected")
    return header
