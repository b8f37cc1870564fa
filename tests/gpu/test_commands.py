"""Commands put their tensors where the model is: on a GPU, or where there is none on one that is pretended."""

from __future__ import annotations

import contextlib

import pytest
import torch

from tests.support.composing import composed
from tests.support.pretended_gpu import GPU, pretended_gpu, put_module
from tests.support.slowly import rest_slow
from tests.support.untrained_runs import TINY, untrained
from vae_hydra.analysis import measures
from vae_hydra.analysis.embedding import embed
from vae_hydra.analysis.outliers.command import ood
from vae_hydra.analysis.sample_files import generate
from vae_hydra.distributions import marginals
from vae_hydra.drawing.figures import figures
from vae_hydra.runs import saved
from vae_hydra.runs.saved import data_of, open_run
from vae_hydra.runs.trained import TrainedModel
from vae_hydra.training import module as modules
from vae_hydra.training.module import VAEModule

# Options of a run, and the ways of generating from it that have no temperature.
CASES: dict[str, tuple[str, ...]] = {
    "classifier=mlp": (),
    "sampler=flow": ("class_embedding",),
    "sampler=gamma": (),
    "sampler=student_t": (),
    "sampler=inverse_gaussian prior=learned": (),
    "sampler=lognormal dataset=lognormal_2d dataset.fraction=0.01 model.latent_dim=2": (),
    "sampler=normal_full": ("class_embedding",),
    "sampler=multivariate_t prior=mixture": ("prior", "class_embedding"),
    "sampler=von_mises_fisher prior=vamp": ("prior", "class_embedding"),
    "prior=flow": ("prior",),
    "condition=both model=conv model.channels=[4]": (),
    "noise=normal noise.mode=stacked likelihood=student_t": (),
    "sampler=radius_angle model=mlp_radial": ("prior", "class_embedding"),
}


@pytest.fixture
def gpu(monkeypatch):
    """A context in which runs are opened on the GPU."""
    if torch.cuda.is_available():
        return contextlib.nullcontext()

    def put_on_gpu(module, device):
        module._device = device
        return put_module(module)

    @contextlib.contextmanager
    def fork_cpu(devices):
        with forked([]):
            yield

    forked = torch.random.fork_rng
    monkeypatch.setattr(torch.random, "fork_rng", fork_cpu)
    monkeypatch.setattr(saved, "choose_device", lambda accelerator: GPU)
    monkeypatch.setattr(VAEModule, "to", put_on_gpu)
    monkeypatch.setattr(modules, "seed_generator", lambda device, seed: torch.default_generator.manual_seed(seed))
    return pretended_gpu()


@pytest.fixture
def opened(tmp_path):
    """The folder of an untrained run, and the options of a command on it: opened(case) → (folder, options)."""

    def make(case: str):
        network = TINY.split() if "model=" not in case else []
        folder = untrained(tmp_path / "runs", "dataset.fraction=0.3", "noise=uniform", *network, *case.split()).folder

        def options(command: str, *overrides: str) -> dict:
            return composed(f"run={folder}", "accelerator=auto", *overrides, name=command)

        return folder, options

    return make


@pytest.mark.parametrize("case", rest_slow(CASES, ("classifier=mlp", "sampler=flow")))
def test_generate_puts_its_tensors_where_the_model_is(case, gpu, opened, tmp_path):
    _, options = opened(case)
    with gpu:
        for number, by in enumerate(("prior", "class_embedding", "aggregate_posterior")):
            asked = (f"by={by}", "n=20", "draw=true", f"output={tmp_path / str(number)}")
            generate(options("generate", *asked))
            refused = pytest.raises(ValueError, match="temperature needs quantiles of each latent")
            expected = refused if by in CASES[case] else contextlib.nullcontext()
            with expected:
                generate(options("generate", *asked[:2], "temperature=0.7", f"output={tmp_path / f'{number} cool'}"))


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_other_commands_put_their_tensors_where_the_model_is(case, gpu, opened, tmp_path):
    folder, options = opened(case)
    with gpu:
        embed(options("embed", f"output={tmp_path / 'codes'}"))
        figures(options("figures", "show=all"))
        run = open_run(folder)
        data = data_of(run)
        measures.marginal_likelihood(run.module, data, "test", 3)
        measures.generation(run.module, data, "test", 100, 9)
        if "condition" not in case:
            ood(options("ood", "limit=10", "against=[pixels,shuffled,uniform]", "nll.samples=3"))
            measures.latents(run.module, data, "test")
        look_at(TrainedModel(run.module, data))


def look_at(model: TrainedModel) -> None:
    """What the page of ``explore`` computes."""
    assert model.prior_of(1).log_prob(torch.tensor(0.5)).device.type == "cpu"
    assert len(model.order) == model.latent_dim
    assert model.kl.device.type == "cpu"
    for noise in model.noises:
        trip = model.round_trip(3, noise)
        assert marginals(trip.q).log_prob(trip.code).shape == trip.code.shape
        model.decode(trip.code, trip.label)
        model.class_probabilities(trip.code)


def test_the_pretended_gpu_refuses_a_mix():
    with pretended_gpu():
        here, there = torch.ones(3), torch.ones(3, device=GPU)
        with pytest.raises(RuntimeError, match="on the same device"):
            here + there
        with pytest.raises(TypeError, match="to numpy"):
            there.numpy()
        assert (here.to(there) + there).cpu().tolist() == [2, 2, 2]
        assert (there * torch.tensor(2.0))[torch.tensor([0, 1])].device.type == "cuda"
