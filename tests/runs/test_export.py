"""A trained model as files for others: they hold the same model, say what it is, and run no code of a stranger."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from safetensors import safe_open
from safetensors.torch import save_file
from scipy.special import gammaln

import vae_hydra
from tests.support.composing import composed, options
from tests.support.device import OPENED_ON
from tests.support.slowly import KINDS
from tests.support.untrained_runs import TINY, untrained
from vae_hydra import export as command
from vae_hydra.base.command.configuration import config_folder
from vae_hydra.distributions import parameters
from vae_hydra.model.samplers import LogNormalSampler
from vae_hydra.model.vae import VAE
from vae_hydra.runs.build import build_experiment, build_noise, build_vae
from vae_hydra.runs.folder import Run
from vae_hydra.runs.sharing import programs
from vae_hydra.runs.sharing.export import export
from vae_hydra.runs.sharing.parts import Decoder, Encoder, parts_of
from vae_hydra.runs.sharing.programs import FORMATS, largest_difference, log_gamma, traced
from vae_hydra.training.module import CHECKPOINT_KEY

SAMPLERS = tuple(options("sampler"))
LIKELIHOODS = (
    *("gaussian", "laplace", "student_t", "huber", "log_cosh", "bernoulli", "continuous_bernoulli", "multivariate_t"),
    *("gaussian likelihood.learn_scale=predicted", "laplace likelihood.learn_scale=per_pixel"),
    *("lognormal", "gamma", "generalised_pareto", "generalised_pareto likelihood.tails=upper"),
    *("gamma likelihood.learn_concentration=predicted", "student_t likelihood.learn_df=predicted"),
    "generalised_pareto likelihood.learn_shape=predicted likelihood.learn_scale=predicted",
    "radius_angle sampler=radius_angle model=mlp_radial dataset=lognormal_2d",
)
MODELS = {
    "conv": "model=conv condition=encoder condition.encoding=scalar",
    "conv_architect": "model=conv_architect model.features=[8,2,2] sampler=student_t sampler.learn_df=true",
}
# Exported by the whole command, so that the code of their cards can be tried.
WHOLE = {
    "a head, vectors": "model=mlp_tapered model.latent_dim=2 dataset=lognormal_2d classifier=mlp",
    "stacked noise": "model=conv64 dataset.resize=16 noise=normal noise.mode=stacked sampler=deterministic",
}
UNSEEN_BATCH = 5


def exported(run: Run, *overrides: str) -> Path:
    return export(composed(f"run={run.folder}", OPENED_ON, *overrides, name="export"))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return untrained(tmp_path_factory.mktemp("outputs"), *TINY.split(), "condition=both", "sampler=lognormal")


@pytest.fixture(scope="module")
def shared(run):
    return exported(run)


class Together(torch.nn.Module):
    """Several modules on the same input as one, which is exported in the time of one."""

    def __init__(self, modules: dict[str, torch.nn.Module]) -> None:
        super().__init__()
        self.parts = torch.nn.ModuleDict(modules)

    def forward(self, given):
        return {f"{name} {key}": v for name, part in self.parts.items() for key, v in part(given).items()}


class Through(torch.nn.Module):
    """Encoder and decoder one after the other."""

    def __init__(self, encoder, decoder) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def forward(self, x, y=None):
        encoded = self.encoder(x, y)
        return {**encoded, **{f"decoded {key}": value for key, value in self.decoder(encoded["code"]).items()}}


def check_every_format(module, inputs: dict[str, torch.Tensor], folder: Path) -> None:
    """What is read back gives the module's outputs for a number of examples that it has not seen."""
    part = programs.Part("part", module.eval(), inputs, module(*inputs.values()))
    unseen = [torch.cat([value, value])[:UNSEEN_BATCH] for value in inputs.values()]
    program = traced(part)
    for chosen in FORMATS.values():
        chosen.write(part, program, folder / f"part{chosen.suffix}")
        found = chosen.read(folder / f"part{chosen.suffix}")(*unseen)
        expected = module(*unseen)
        assert found.keys() == expected.keys()
        for name, value in found.items():
            torch.testing.assert_close(
                value, expected[name], rtol=1e-5, atol=1e-5, equal_nan=True, msg=lambda m, name=name: f"{name}: {m}"
            )


def fresh(overrides: str) -> VAE:
    """A model of digits with weights as they are drawn."""
    config = composed(*overrides.split())
    return build_vae(config, (1, 8, 8), build_noise(config), 10).eval()


@torch.no_grad()
@pytest.mark.parametrize(
    "samplers",
    [KINDS, pytest.param(tuple(name for name in SAMPLERS if name not in KINDS), marks=pytest.mark.slow)],
    ids=["kinds", "others"],
)
def test_every_sampler_in_every_format(samplers, tmp_path):
    encoders, x = {}, torch.rand(4, 1, 8, 8)
    for sampler in samplers:
        vae = fresh(f"{TINY} sampler={sampler}")
        encoders[sampler] = Encoder(vae)
        q, outputs = vae.encode(x), encoders[sampler](x)
        expected = {**{name: value.shape for name, value in parameters(q).items()}, "code": (4, 10)}
        assert {name: value.shape for name, value in outputs.items()} == expected
        assert torch.equal(outputs["code"], vae.sampler.code(q))
    check_every_format(Together(encoders), {"x": x}, tmp_path)


@pytest.mark.slow
@torch.no_grad()
def test_every_likelihood_in_every_format(tmp_path):
    files = (config_folder() / "likelihood").glob("*.yaml")
    assert {path.stem for path in files} == {option.split()[0] for option in LIKELIHOODS}
    decoders, z = {}, torch.randn(4, 10)
    for number, likelihood in enumerate(LIKELIHOODS):
        vae = fresh(f"{TINY} likelihood={likelihood}")
        decoders[f"{number}"] = Decoder(vae)
        p, outputs = vae.decode(z), decoders[f"{number}"](z)
        assert outputs.keys() == {"mean", *parameters(p)}
        assert torch.equal(outputs["mean"], p.mean)
    check_every_format(Together(decoders), {"z": z}, tmp_path)


@torch.no_grad()
@pytest.mark.parametrize("model", MODELS.values(), ids=list(MODELS))
def test_other_models_in_every_format(model, tmp_path):
    vae = fresh(model)
    inputs = {"x": torch.rand(4, 1, 8, 8), **({"y": torch.tensor([0, 5, 9, -1])} if vae.condition else {})}
    check_every_format(Through(Encoder(vae), Decoder(vae)), inputs, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@torch.no_grad()
@pytest.mark.parametrize("model", [f"{TINY} condition=both", *MODELS.values(), *WHOLE.values()])
def test_every_combination_in_every_format(model, tmp_path):
    """An encoder knows no likelihood and a decoder no sampler: these are all there are of each."""
    kept = " ".join(option for option in model.split() if not option.startswith("sampler"))
    encoders = [(f"sampler={sampler}", 0) for sampler in SAMPLERS]
    for option, which in [*encoders, *((f"likelihood={likelihood}", 1) for likelihood in LIKELIHOODS)]:
        rescaled = "dataset.variant=rescaled" if "lognormal_2d" in model and "bernoulli" in option else ""
        # Digits are 0 in places.
        positive = any(f"likelihood={name}" in option for name in ("lognormal", "gamma"))
        rescaled = "dataset.transform=exp" if positive and "lognormal_2d" not in model else rescaled
        module, data = build_experiment(composed(*f"{kept} {rescaled} {option}".split()))
        part = parts_of(module.eval(), data.prepared("test", 4))[which]
        check_every_format(part.module, part.inputs, tmp_path)


@pytest.mark.parametrize(("dtype", "precision"), [(torch.float32, 1e-5), (torch.float64, 1e-9)])
def test_log_gamma_is_scipys(dtype, precision):
    # What a Weibull's mean needs: 1 + 1/k with k ≥ 0.1.
    x = torch.linspace(1, 11, 1001, dtype=dtype)
    exact = torch.from_numpy(gammaln(x.double().numpy()))
    assert (log_gamma(x).double() - exact).abs().max() < precision


def test_weights_are_the_model_to_the_bit(run, shared, tmp_path):
    moved = shutil.copytree(shared, tmp_path / "elsewhere")
    original, x, y = vae_hydra.load(run.folder), torch.rand(3, 1, 8, 8), torch.tensor([0, 5, 9])
    for where in (shared, moved, moved / "model.safetensors"):
        again = vae_hydra.load(where)
        assert again.state_dict().keys() == original.state_dict().keys()
        assert all(torch.equal(value, original.state_dict()[name]) for name, value in again.state_dict().items())
        assert torch.equal(again.encode(x, y).mean, original.encode(x, y).mean)
        assert not again.training
    with safe_open(shared / "model.safetensors", "pt") as file:
        known = json.loads(file.metadata()["vae_hydra"])
    assert known == {"x_shape": [1, 8, 8], "classes": 10, "value_range": [0.0, 1.0]}


def test_double_precision_stays_double(tmp_path):
    double = untrained(tmp_path / "outputs", *TINY.split(), "trainer.precision=64-true")
    folder = exported(double, "formats=[safetensors,torch_export]")
    x = torch.rand(2, 1, 8, 8, dtype=torch.float64)
    mean = vae_hydra.load(folder).encode(x).mean
    assert mean.dtype == torch.float64
    assert torch.equal(FORMATS["torch_export"].read(folder / "encoder.pt2")(x)["code"], mean)
    assert "dtype=torch.float64" in (folder / "README.md").read_text()


def test_the_record_says_what_was_written_and_compared(shared):
    record = json.loads((shared / "export.json").read_text())
    files = {path.name for path in shared.iterdir()} - {"export.json"}
    names = {f"{part}{suffix}" for part in ("encoder", "decoder") for suffix in (".pt2", ".onnx")}
    assert record["files"].keys() == files == names | {"config.yaml", "model.safetensors", "README.md"}
    assert {name for name, entry in record["files"].items() if "largest_difference" in entry} == names
    assert all(
        entry["largest_difference"] < 1e-5 for entry in record["files"].values() if "largest_difference" in entry
    )
    assert (record["checkpoint"], record["epoch"], record["tried_on"]) == ("best", 3, "test examples")
    # A program holds its own part's weights alone.
    sizes = {name: entry["bytes"] for name, entry in record["files"].items()}
    assert sizes["encoder.onnx"] < sizes["model.safetensors"] + 20_000


def test_the_card_says_what_the_model_is(run, shared):
    text = (shared / "README.md").read_text()
    _, front, body = text.split("---\n", 2)
    metadata = yaml.safe_load(front)
    assert metadata["library_name"] == "vae_hydra"
    assert {"vae", "onnx", "lognormal-latents"} <= set(metadata["tags"])
    assert metadata["metrics"] == ["half_sse", "elbo"]
    assert "license" not in metadata
    for said in (run.name, "LogNormal(loc=0.0, scale=1.0)", "2.5000", "-7.2500", "half-SSE", "digits", "torch"):
        assert said in body
    count = sum(p.numel() for p in vae_hydra.load(shared).parameters())
    assert f"{count:,}" in body


SLOWLY = [pytest.param(options, id=name, marks=pytest.mark.slow) for name, options in WHOLE.items()]


@pytest.mark.parametrize("options", [pytest.param("", id="labels"), *SLOWLY])
def test_the_code_of_the_card_runs_where_the_files_are(options, shared, tmp_path, monkeypatch):
    folder = exported(untrained(tmp_path, *options.split())) if options else shared
    blocks = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    assert len(blocks) == 3
    monkeypatch.chdir(folder)
    for block in blocks:
        names: dict = {}
        exec(compile(block, "README.md", "exec"), names)
        assert len(names["decoded"]) == len(names["x"]) == 4
        assert ("logits" in names) == ("classifier" in options)


def test_no_path_of_this_machine_is_in_any_file(tmp_path):
    here = untrained(tmp_path / "outputs", *TINY.split(), "threads=1")
    checkpoint = torch.load(here.folder / "best.ckpt", weights_only=True)
    config = checkpoint[CHECKPOINT_KEY]["config"]
    source = {
        "_target_": "vae_hydra.data.sources.torchvision_images.load_torchvision",
        "dataset": "MNIST",
        "download": True,
    }
    config["dataset"] |= {"root": str(tmp_path), "source": {**source, "root": str(tmp_path)}}
    config["init_from"] = str(tmp_path / "other-run")
    torch.save(checkpoint, here.folder / "best.ckpt")
    # The data are not there either: programs are tried on random examples.
    folder = exported(here, "formats=[safetensors,torch_export]")
    assert not [path.name for path in folder.iterdir() if str(tmp_path).encode() in path.read_bytes()]
    written = yaml.safe_load((folder / "config.yaml").read_text())
    assert (written["init_from"], written["threads"], written["dataset"]["source"]["download"]) == (
        "other-run",
        None,
        False,
    )
    assert "random" in json.loads((folder / "export.json").read_text())["tried_on"]
    assert vae_hydra.load(folder).sample(2).shape == (2, 1, 8, 8)


def test_a_program_that_differs_is_an_error_and_leaves_nothing(run, tmp_path, monkeypatch):
    chosen = FORMATS["torch_export"]

    def off(path):
        program = chosen.read(path)
        return lambda *given: {name: value + 2e-3 for name, value in program(*given).items()}

    monkeypatch.setitem(FORMATS, "torch_export", chosen._replace(read=off))
    target = tmp_path / "shared"
    with pytest.raises(ValueError, match=r"encoder's loc differs by up to 0.002 .*beyond tolerance=0.0001"):
        exported(run, "formats=torch_export", f"output={target}")
    assert not list(tmp_path.iterdir())
    exported(run, "formats=torch_export", f"output={target}", "tolerance=0.01")
    assert json.loads((target / "export.json").read_text())["files"]["encoder.pt2"]["largest_difference"] > 1e-3


class Branching(LogNormalSampler):
    """Its values decide what it does, which no exporter can follow."""

    def forward(self, features):
        return super().forward(features if features.sum() > 0 else -features)


class WithBessel(LogNormalSampler):
    """Its code takes an operation that ONNX lacks."""

    def code(self, q):
        return torch.special.i0e(q.mean)


@pytest.mark.parametrize(
    ("sampler", "format", "message"),
    [
        (Branching, "torch_export", "encoder cannot be exported as torch_export: Could not guard on data-dependent"),
        (WithBessel, "onnx", "encoder cannot be exported as onnx: .*i0e"),
    ],
)
def test_a_sampler_of_ones_own_that_cannot_be_exported_is_explained(sampler, format, message, tmp_path):
    own = untrained(
        tmp_path / "outputs",
        *TINY.split(),
        "sampler=lognormal",
        f"sampler._target_=tests.runs.test_export.{sampler.__name__}",
    )
    with pytest.raises(ValueError, match=f"{message}.*formats=safetensors"):
        exported(own, f"formats={format}", "trust=[tests]")
    assert not (own.folder / "export").exists()
    with pytest.raises(ValueError, match="names the target 'tests.runs.test_export"):
        vae_hydra.load(exported(own, "formats=safetensors", "trust=[tests]"))


def test_infinities_and_nans_agree_only_with_themselves():
    part = programs.Part("decoder", lambda z: {"mean": z}, {"z": torch.tensor([[torch.inf, torch.nan, 1.0]])}, {})
    assert largest_difference(part, lambda z: {"mean": z.clone()}, 1e-4) == 0
    with pytest.raises(ValueError, match="decoder's mean differs"):
        largest_difference(part, lambda z: {"mean": z.nan_to_num()}, 1e-4)


def test_an_export_is_replaced_but_nothing_else_is(tmp_path):
    run = untrained(tmp_path / "outputs", *TINY.split())
    folder = exported(run, "formats=[safetensors,torch_export]")
    assert exported(run, "formats=safetensors") == folder
    assert not (folder / "encoder.pt2").exists()
    card = (folder / "README.md").read_text()
    (folder / "README.md").write_text(card.replace("# license: yours to choose, for example mit", "license: mit"))
    with pytest.raises(ValueError, match=r"holds README.md, not as an export wrote it; move it away.*output=FOLDER"):
        exported(run, "formats=safetensors")
    other = tmp_path / "given"
    exported(run, "formats=safetensors", f"output={other}")
    with pytest.raises(ValueError, match="output=.*given exists and is not overwritten"):
        exported(run, "formats=safetensors", f"output={other}")


def test_bad_requests_are_refused(run, monkeypatch):
    for bad in ("formats=tflite", "formats=[]", "formats=7"):
        with pytest.raises(ValueError, match="formats must be"):
            exported(run, bad)
    with pytest.raises(ValueError, match=r"output=.*run.json/here cannot be written"):
        exported(run, f"output={run.folder}/run.json/here")
    with pytest.raises(ValueError, match="tolerance must be a number > 0, but got 0"):
        exported(run, "tolerance=0")
    monkeypatch.setattr(programs, "ONNX_PACKAGES", ("onnx", "no_such_package"))
    with pytest.raises(ValueError, match=r"needs no_such_package: pip install 'vae_hydra\[export\]'.*formats="):
        exported(run)


def test_a_strangers_files_run_no_code(shared, tmp_path):
    folder = shutil.copytree(shared, tmp_path / "stranger")
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["model"]["encoder"]["_target_"] = "os.system"
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(ValueError, match=r"names the target 'os.system'.*trust"):
        vae_hydra.load(folder)
    (folder / "config.yaml").write_text("!!python/object/apply:os.system ['true']")
    with pytest.raises(ValueError, match="needs its config.yaml beside it, which cannot be read"):
        vae_hydra.load(folder)
    (folder / "config.yaml").unlink()
    with pytest.raises(ValueError, match="needs its config.yaml beside it"):
        vae_hydra.load(folder)


def test_damaged_weights_are_refused(shared, tmp_path):
    folder = shutil.copytree(shared, tmp_path / "damaged")
    with pytest.raises(ValueError, match="holds one model; leave checkpoint=best out"):
        vae_hydra.load(folder, "best")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ValueError, match="cannot be read as safetensors; it is damaged"):
        vae_hydra.load(folder)
    save_file({"a": torch.zeros(1)}, weights)
    with pytest.raises(ValueError, match="was not written by vae_hydra"):
        vae_hydra.load(folder)


def test_the_command_says_what_it_wrote_and_what_is_wrong(run, run_command, tmp_path):
    code, said = run_command(command, f"run={run.folder}", OPENED_ON, "formats=safetensors", "output=here")
    assert code == 0
    assert re.search(r"model.safetensors +[\d,]+ bytes\n", said)
    assert str(tmp_path / "here") in said
    code, said = run_command(command, f"run={tmp_path}/nothing")
    assert (code, said.count("\n")) == (2, 1)
    assert "is not a run" in said
