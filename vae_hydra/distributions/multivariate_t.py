"""Student's t-distribution of vectors, whose values share one chi-square."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.types import _size

from vae_hydra.distributions.student_t import _log_gamma_step


class MultivariateT(Distribution):
    r"""The heavy-tailed family of vectors x = loc + scale·ε/√(v/ν), with ε ~ N(0, I) and one v ~ χ²(ν) for all values.

    .. math:: p(x) = \frac{\Gamma((\nu + d) / 2)}{\Gamma(\nu / 2)\, (\nu\pi)^{d / 2} \prod_i s_i}
        \left(1 + \frac1\nu \sum_i u_i^2\right)^{-(\nu + d) / 2}, \quad u_i = (x_i - m_i) / s_i

    The values are uncorrelated, but large ones come together. Every single value is Student's t with the same ν.

    Args:
        df: ν > 0, of shape [..., 1].
        loc: m, of shape [..., d]; the mean if ν > 1.
        scale: s > 0, of shape [..., d]; the variance is s²·ν/(ν − 2) if ν > 2.

    Raises:
        ValueError: if ``df`` or ``scale`` is not positive (with ``validate_args``).

    Source: Kotz and Nadarajah, "Multivariate t distributions and their applications", 2004.

    >>> q = MultivariateT(torch.tensor([4.0]), torch.zeros(5, 3), torch.ones(5, 3))
    >>> q.batch_shape, q.event_shape, q.log_prob(torch.zeros(5, 3)).shape
    (torch.Size([5]), torch.Size([3]), torch.Size([5]))
    >>> q.variance[0]  # ν/(ν − 2)
    tensor([2., 2., 2.])
    """

    arg_constraints = {
        "df": constraints.independent(constraints.positive, 1),
        "loc": constraints.real_vector,
        "scale": constraints.independent(constraints.positive, 1),
    }
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, df: Tensor, loc: Tensor, scale: Tensor, validate_args: bool | None = None) -> None:
        self.df, self.loc, self.scale = df, loc, scale
        shape = torch.broadcast_shapes(df.shape, loc.shape, scale.shape)
        super().__init__(shape[:-1], shape[-1:], validate_args=validate_args)

    def expand(self, batch_shape: _size, _instance: MultivariateT | None = None) -> MultivariateT:
        new = self._get_checked_instance(MultivariateT, _instance)
        new.df = self.df.expand(*batch_shape, 1)
        new.loc, new.scale = (value.expand(*batch_shape, *self.event_shape) for value in (self.loc, self.scale))
        super(MultivariateT, new).__init__(torch.Size(batch_shape), self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    @property
    def mean(self) -> Tensor:
        return torch.where(self.df > 1, self.loc, torch.nan).expand(self._extended_shape())

    @property
    def mode(self) -> Tensor:
        return self.loc.expand(self._extended_shape())

    @property
    def variance(self) -> Tensor:
        ratio = torch.where(self.df > 2, self.df / (self.df - 2), torch.inf)
        return torch.where(self.df > 1, self.scale.square() * ratio, torch.nan).expand(self._extended_shape())

    def rsample(self, sample_shape: _size = ()) -> Tensor:
        return self.loc + self.scale * draw_t(self.df, self._extended_shape(torch.Size(sample_shape)), 1)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        u = (value - self.loc) / self.scale
        return (log_density_given_former(self.df, u) - self.scale.log()).sum(-1)


class ValuesOfT(Distribution):
    """Values of one example that are a ``MultivariateT`` together, as a distribution of batch_shape [..., *shape].

    ``log_prob`` of a value is its log-density given the values before it, so that the sum over the values is the
    log-density of the example. The mean and the variance are those of each value.

    Args:
        df: ν > 0, which broadcasts with ``loc``.
        loc: of shape [..., *shape].
        scale: > 0, which broadcasts with ``loc``. It may depend on the example only, not on the value.
        event_dims: the number of axes of ``shape``.

    >>> p = ValuesOfT(torch.tensor(4.0), torch.zeros(5, 3), torch.tensor(1.0), event_dims=1)
    >>> together = MultivariateT(torch.tensor([4.0]), torch.zeros(5, 3), torch.ones(3))
    >>> torch.allclose(p.log_prob(torch.ones(5, 3)).sum(-1), together.log_prob(torch.ones(5, 3)))
    True
    """

    arg_constraints = {"df": constraints.positive, "loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True

    def __init__(
        self, df: Tensor, loc: Tensor, scale: Tensor, event_dims: int, validate_args: bool | None = None
    ) -> None:
        self.df, self.loc, self.scale, self.event_dims = df, loc, scale, event_dims
        super().__init__(torch.broadcast_shapes(df.shape, loc.shape, scale.shape), validate_args=validate_args)

    @property
    def constants(self) -> dict[str, int]:
        """Arguments that are no parameters."""
        return {"event_dims": self.event_dims}

    @property
    def mean(self) -> Tensor:
        return torch.where(self.df > 1, self.loc, torch.nan).expand(self.batch_shape)

    @property
    def variance(self) -> Tensor:
        ratio = torch.where(self.df > 2, self.df / (self.df - 2), torch.inf)
        return (self.scale.square() * ratio).expand(self.batch_shape)

    def rsample(self, sample_shape: _size = ()) -> Tensor:
        shape = self._extended_shape(torch.Size(sample_shape))
        return self.loc + self.scale * draw_t(self._df_of_example(), shape, self.event_dims)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        u = (value - self.loc) / self.scale
        df = self._df_of_example()
        df = df.flatten(-self.event_dims) if df.dim() > self.event_dims else df.reshape(1)
        return log_density_given_former(df, u.flatten(-self.event_dims)).reshape(u.shape) - self.scale.log()

    def _df_of_example(self) -> Tensor:
        """ν with one value for all values of an example."""
        df = self.df
        for axis in range(1, min(self.event_dims, df.dim()) + 1):
            df = df.narrow(-axis, 0, 1)
        return df


def draw_t(df: Tensor, shape: torch.Size, event_dims: int) -> Tensor:
    """Draws of the given shape with location 0 and scale 1, whose last ``event_dims`` axes share one χ²(ν)/ν.

    ``df`` has the size 1 in each of these axes, or lacks them.
    """
    normal = torch.randn(shape, dtype=df.dtype, device=df.device)
    half = 0.5 * df.expand(*shape[: len(shape) - event_dims], *[1] * event_dims)
    # Away from 0, to which a draw of a small ν rounds.
    mean_square = (torch._standard_gamma(half) / half).clamp(min=torch.finfo(df.dtype).tiny)
    return normal * mean_square.rsqrt()


def log_density_given_former(df: Tensor, u: Tensor) -> Tensor:
    """ln p(uᵢ | u₁ … uᵢ₋₁) of vectors u [..., d] with location 0, scale 1 and ν of shape [..., 1]; of the shape of u.

    Given i values with the sum of squares S, the next one is Student's t with ν + i degrees of freedom and the scale
    √((ν + S)/(ν + i)).
    """
    given = df + torch.arange(u.shape[-1], dtype=u.dtype, device=u.device)
    total = u.square().cumsum(-1)
    former = torch.nn.functional.pad(total[..., :-1], (1, 0))
    tails = given * torch.log1p(former / df) - (given + 1) * torch.log1p(total / df)
    return 0.5 * tails + _log_gamma_step(0.5 * given) - 0.5 * (math.log(math.pi) + df.log())
