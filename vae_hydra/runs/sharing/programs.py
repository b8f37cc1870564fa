"""Parts of a model as programs of torch.export and ONNX, and their comparison with the model."""

from __future__ import annotations

import importlib.util
import io
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from vae_hydra.base.files import write_bytes
from vae_hydra.runs.sharing.parts import Part

Program = Callable[..., dict[str, Tensor]]

# Batch sizes that a program is tried with; it is traced with another.
BATCHES = (1, 8)
TRACED_BATCH = 3
ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


class ProgramFormat(NamedTuple):
    """A file format: its suffix, and functions that write a ``traced`` part and read it back."""

    suffix: str
    write: Callable[[Part, ExportedProgram, Path], None]
    read: Callable[[Path], Program]


@torch.no_grad()
def traced(part: Part) -> ExportedProgram:
    """The part as a graph of tensor operations, for any number of examples."""
    inputs = tuple(value[:TRACED_BATCH] for value in part.inputs.values())
    batch = Dim("batch")
    return torch.export.export(part.module, inputs, dynamic_shapes=tuple({0: batch} for _ in inputs))


def write_torch_export(part: Part, program: ExportedProgram, path: Path) -> None:
    """Write a program of torch.export."""
    # Given a path, torch ends the process or hides the reason if the file cannot be written.
    content = io.BytesIO()
    torch.export.save(program, content)
    write_bytes(path, content.getvalue())


def read_torch_export(path: Path) -> Program:
    """Read a program of torch.export as a function from tensors to named tensors."""
    return torch.export.load(path).module()


def write_onnx(part: Part, program: ExportedProgram, path: Path) -> None:
    """Write an ONNX graph in one file."""
    missing = torch.ops.aten.lgamma.default  # in ONNX
    if any(node.target is missing for node in program.graph.nodes):
        program = program.run_decompositions({missing: log_gamma})
    # One name is enough: torch infers that all inputs have the same batch size.
    first = next(iter(part.inputs))
    torch.onnx.export(
        program,
        f=path,
        dynamo=True,
        verbose=False,
        external_data=False,
        input_names=list(part.inputs),
        output_names=list(part.outputs),
        dynamic_shapes={name: {0: "batch"} if name == first else None for name in part.inputs},
    )


def read_onnx(path: Path) -> Program:
    """Read an ONNX graph as a function from tensors to named tensors, run by onnxruntime on the CPU."""
    import onnxruntime  # an optional package

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    inputs, outputs = ([value.name for value in values] for values in (session.get_inputs(), session.get_outputs()))

    def run(*given: Tensor) -> dict[str, Tensor]:
        feed = {name: value.numpy() for name, value in zip(inputs, given, strict=True)}
        return {name: torch.as_tensor(v) for name, v in zip(outputs, session.run(outputs, feed), strict=True)}

    return run


FORMATS = {
    "torch_export": ProgramFormat(".pt2", write_torch_export, read_torch_export),
    "onnx": ProgramFormat(".onnx", write_onnx, read_onnx),
}


def check_installed(formats: Sequence[str]) -> None:
    """Raise ValueError, with the command to install them, if ``formats`` need packages that are missing."""
    missing = [name for name in ONNX_PACKAGES if importlib.util.find_spec(name) is None]
    if "onnx" in formats and missing:
        raise ValueError(
            f"formats has onnx, which needs {', '.join(missing)}: pip install 'vae_hydra[export]', or leave it out: "
            "formats=[safetensors,torch_export]"
        )


@torch.no_grad()
def largest_difference(part: Part, program: Program, tolerance: float) -> float:
    """The largest absolute difference between the outputs of ``program`` and of the model, over all ``BATCHES``.

    Raises:
        ValueError: if any |difference| is beyond tolerance·(1 + |value|).
    """
    largest = 0.0
    for batch in BATCHES:
        inputs = [value[:batch] for value in part.inputs.values()]
        expected, found = part.module(*inputs), program(*inputs)
        for name, value in expected.items():
            largest = max(largest, _difference(f"{part.name}'s {name}", found[name], value, tolerance))
    return largest


def _difference(name: str, found: Tensor, expected: Tensor, tolerance: float) -> float:
    if not torch.allclose(found, expected, rtol=tolerance, atol=tolerance, equal_nan=True):
        worst = (found - expected).abs().max()
        raise ValueError(
            f"the {name} differs by up to {worst:.3g} from the model's, beyond tolerance={tolerance:g}·(1 + |value|); "
            "nothing was written. Leave this format out, or raise tolerance if that is good enough"
        )
    # Equal infinities, and NaN in both, count as equal.
    return float(torch.where(found == expected, 0, found - expected).nan_to_num(0.0).abs().max())


def log_gamma(x: Tensor) -> Tensor:
    """lnΓ(x) for x > 0, of operations that every runtime has; error about 1e-5 in single precision.

    Stirling's series at x + 7 (Abramowitz and Stegun 6.1.41), less ln of x·(x + 1)·…·(x + 6).
    """
    far, product = x + 7, x
    for step in range(1, 7):
        product = product * (x + step)
    square = far.reciprocal().square()
    series = (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square / 1680))) / far
    return (far - 0.5) * far.log() - far + 0.5 * math.log(2 * math.pi) + series - product.log()
