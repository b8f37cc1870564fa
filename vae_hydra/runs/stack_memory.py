"""How much memory a run takes in a stack."""

from __future__ import annotations

import math

from torch.distributions import Distribution

from vae_hydra.distributions import Mixture
from vae_hydra.model.priors import VampPrior
from vae_hydra.runs.anatomy import layers
from vae_hydra.runs.stack_member import Member

# Of an example and its reconstruction, which the measures of an image make.
COPIES_IN_SCORES = 12


def memory_of(member: Member) -> int:
    """Bytes that a run takes in a stack, roughly.

    A weight takes eight numbers: the model that it was built in, the stack, gradient, two averages of Adam, and these
    three again in the best checkpoint. A value of a layer takes four in training: itself, its gradient, and copies on
    the way. Evaluation has no gradients, but larger batches, and the measures of images take copies of them. The
    encoder sees an example once, and the pseudo-inputs of a VampPrior; the decoder sees an example in each pass of the
    objective.
    """
    module, data = member.module, member.data
    weights = sum(parameter.numel() for parameter in module.vae.parameters())
    values = {"encoder": 0, "decoder": 0, "classifier": 0}
    for layer in layers(module):
        values[layer.name.partition(".")[0]] += math.prod(layer.shape_out)
    prior = module.vae.prior
    pseudo_inputs = prior.components if isinstance(prior, VampPrior) else 0
    of_prior = _numbers_of(module.vae.prior_distribution())

    def numbers(examples: int, copies: int, copies_of_prior: int) -> int:
        encoded = examples + pseudo_inputs
        drawn = examples * module.objective.passes
        of_layers = encoded * values["encoder"] + drawn * (values["decoder"] + values["classifier"])
        return copies * of_layers + copies_of_prior * drawn * of_prior

    largest = max(len(data.splits[name]) for name in ("validation", "test"))
    scored = min(data.eval_batch_size, largest)
    evaluation = numbers(scored, 2, 3) + COPIES_IN_SCORES * scored * math.prod(data.x_shape)
    return 4 * (8 * weights + max(numbers(data.batch_size, 4, 7), evaluation))


def _numbers_of(prior: Distribution) -> int:
    """Numbers in an array of the density of one draw from a mixture; other densities take next to nothing."""
    return prior.numbers_per_value if isinstance(prior, Mixture) else 0
