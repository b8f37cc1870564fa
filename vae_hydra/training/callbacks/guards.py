"""Guards: stop at a loss that is not finite or at a signal, and warn of posterior collapse."""

from __future__ import annotations

import logging
import signal
import threading
from typing import Any

import lightning as L
import torch
import torch.distributed as dist
from lightning.pytorch.callbacks import Callback, Checkpoint
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor

from vae_hydra.base import checks
from vae_hydra.training.module import VAEModule

log = logging.getLogger(__name__)

# In a job of submitit this signal means that its time is nearly over; submitit answers it by starting the job again.
RESTART: int | None = getattr(signal, "SIGUSR2", None)
# Several processes ask one another once in so many steps whether a signal was received.
STEPS_UNASKED = 10


class NonFiniteLossError(FloatingPointError):
    """The training loss is NaN or infinite."""

    @classmethod
    def of(cls, epoch: int, loss: float, precision: str = "32-true") -> NonFiniteLossError:
        """The error for the mean loss of an epoch."""
        half = "trainer.precision=bf16-mixed or 32-true, since 16-mixed holds no number above 65,504; or "
        return cls(
            f"the training loss of epoch {epoch} is {loss}; there is no checkpoint of this epoch. "
            f"Try {half if precision == '16-mixed' else ''}a smaller optimizer.lr, trainer.gradient_clip_val=1, or "
            "another sampler.positive"
        )


class FiniteLoss(Callback):
    """Stop at the end of an epoch if its mean loss is not finite, before its checkpoint.

    Only once an epoch, because reading the loss waits for the device. It reads the accumulator, because callbacks run
    before the module logs and resets its means.
    """

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, VAEModule)
        loss = pl_module.train_means.compute()["loss"]
        if not torch.isfinite(loss):
            raise NonFiniteLossError.of(trainer.current_epoch, loss.item(), str(trainer.precision))


class CollapseWarning(Callback):
    """Warn once of posterior collapse: nearly all latents have almost no KL.

    Args:
        threshold: mean KL [nats] below which a latent counts as collapsed.
        share: least share of collapsed latents for a warning, > 0.
        patience: number of such epochs in a row before the warning.
    """

    def __init__(self, threshold: float = 0.01, share: float = 0.9, patience: int = 3) -> None:
        self.threshold = checks.positive("callbacks.collapse.threshold", threshold)
        self.share = checks.positive("callbacks.collapse.share", share)
        self.patience = checks.positive_integer("callbacks.collapse.patience", patience)
        self.epochs, self.warned = 0, False

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, VAEModule)
        if self.warned or not pl_module.vae.sampler.has_elbo:
            return
        if warning := self.observe(pl_module.train_means.compute()["kl_per_latent"].reshape(-1)):
            log.warning(warning)

    def observe(self, kl: Tensor) -> str | None:
        """The warning, once there is reason for it.

        Args:
            kl: an epoch's mean of each latent [nats], [L]; of all together, [1], where latents depend on one another.
        """
        collapsed = int((kl < self.threshold).sum())
        self.epochs = self.epochs + 1 if collapsed >= self.share * len(kl) else 0
        if self.warned or self.epochs < self.patience:
            return None
        self.warned = True
        latents = f"{collapsed} of {len(kl)} latents" if len(kl) > 1 else "the latents together"
        return (
            f"posterior collapse: {latents} carry less than {self.threshold:g} nats for "
            f"{self.epochs} epochs; try a smaller β, beta=linear, or a smaller likelihood.scale"
        )

    def state_dict(self) -> dict[str, Any]:
        return {"epochs": self.epochs, "warned": self.warned}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.epochs, self.warned = state_dict["epochs"], state_dict["warned"]


class Stopped(BaseException):
    """Something outside stopped training, with a checkpoint to resume from.

    Attributes:
        run_status: status in the run's record.
        exit_code: exit code of a process with no other work.
    """

    run_status = "interrupted"
    exit_code = 1


class Interrupted(Stopped):
    """Training received SIGINT or SIGTERM, or in a job of submitit ``RESTART``.

    Not a KeyboardInterrupt, which Lightning turns into exit code 1.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.signum = signum
        self.exit_code = 128 + signum


class InterruptGuard(Checkpoint):
    """Turn SIGINT and SIGTERM into ``Interrupted`` at the next batch boundary, where the state is complete.

    Likewise ``RESTART`` if it has a handler, because submitit's would leave training in the middle of a batch. A second
    SIGINT ends the process at once. Lightning's own handlers stop within an accumulated gradient and end with exit code
    1. A Checkpoint, because Lightning runs those last: at the end of an epoch its metrics are written.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        # One entry for each __enter__: a search enters the guard around the runs that it trains.
        self._previous: list[dict[int, Any]] = []

    def __enter__(self) -> InterruptGuard:
        self._previous.append(self._install())
        return self

    def _install(self) -> dict[int, Any]:
        if threading.current_thread() is not threading.main_thread():
            return {}
        signums = [signal.SIGINT, signal.SIGTERM]
        if RESTART is not None and callable(signal.getsignal(RESTART)):
            signums.append(signal.Signals(RESTART))
        return {signum: signal.signal(signum, self._handle) for signum in signums}

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        for signum, handler in self._previous.pop().items():
            signal.signal(signum, handler)
        if isinstance(error, SIGTERMException):
            raise Interrupted(signal.SIGTERM) from error

    def _handle(self, signum: int, frame: object) -> None:
        if self.received is not None and signum == signal.SIGINT:
            raise KeyboardInterrupt
        if self.received is None:
            log.warning("%s received: finishing this batch, then saving last.ckpt", signal.Signals(signum).name)
        # SIGTERM also comes before or after RESTART, which says more.
        if self.received is None or self.received != RESTART:
            self.received = signum

    def stop_if_interrupted(self, trainer: L.Trainer | None = None) -> None:
        """Raise ``Interrupted`` if a signal was received, by any of the processes of ``trainer``.

        All of them must call this at the same place.
        """
        if trainer is not None and trainer.world_size > 1:
            received = torch.tensor(self.received or 0, device=trainer.strategy.root_device)
            dist.all_reduce(received, dist.ReduceOp.MAX)
            self.received = int(received) or None
        if self.received is not None:
            raise Interrupted(self.received)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        # Lightning wraps this handler in its own, which stops after any batch. Among several processes it waits within
        # the handler for all of them, which may wait for this one elsewhere.
        self._install()

    def on_train_batch_end(self, trainer: L.Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        # Within an accumulation the gradient would be lost. After the last batch the epoch ends first, with its
        # validation.
        between_steps = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        # To ask the other processes takes time.
        is_asked = trainer.world_size == 1 or (batch_idx // trainer.accumulate_grad_batches) % STEPS_UNASKED == 0
        if between_steps and is_asked and not trainer.is_last_batch:
            self.stop_if_interrupted(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.stop_if_interrupted(trainer)

    def on_test_batch_end(self, trainer: L.Trainer, *args: Any) -> None:
        self.stop_if_interrupted(trainer)
