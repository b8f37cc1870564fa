"""The options that runs had when their names were first made: a frozen record, to which no option is added."""

from __future__ import annotations

# The files of each group that had an option file then.
FILES = {
    "model": "conv conv64 conv_architect mlp mlp_tapered",
    "sampler": "deterministic gamma inverse_gaussian laplace lognormal normal student_t weibull",
    "dataset": "digits fashion_mnist inverse_gaussian_2d lognormal_2d mnist mnist_exp student_t_mixture",
    "noise": "inverse_gaussian lognormal none normal uniform",
    "beta": "constant cosine cyclical linear sigmoid",
    "likelihood": "bernoulli continuous_bernoulli gaussian huber laplace log_cosh student_t",
    "condition": "both encoder none",
    "classifier": "mlp none",
    "optimizer": "adam adamw",
    "scheduler": "cosine multi_step none plateau step",
    "trainer": "default",
    "callbacks": "default early_stopping",
}
_NETWORK = "_target_ channels activation init init_std layers features widths depth latent_dim"
_OPTIONS = {
    "": "seed scheduler",
    "objective": "kl_reduction normalise",
    "model": "name latent_dim channels activation init init_std layers features depth",
    "model.encoder": _NETWORK,
    "model.decoder": _NETWORK,
    "sampler": "name _target_ positive kl min_concentration gradient df learn_df min_df",
    "sampler.prior": "_target_ loc scale concentration rate df",
    "dataset": (
        "name _target_ batch_size eval_batch_size seed validation transform loc concentration variant dimensions df "
        "train_size test_size"
    ),
    "dataset.source": "_target_ seed dataset loc concentration variant dimensions df train_size test_size",
    "noise": "name _target_ distribution mode",
    "noise.distribution": "_target_ loc concentration scale low high",
    "beta": "name _target_ value shape start end duration unit rise",
    "likelihood": "name _target_ scale learn_scale location threshold df",
    "optimizer": "name _target_ _partial_ lr betas eps weight_decay fused",
    "scheduler": "name _target_ _partial_ T_max eta_min milestones gamma factor patience min_lr step_size",
    "trainer": (
        "max_epochs accelerator devices precision gradient_clip_val deterministic enable_model_summary "
        "num_sanity_val_steps"
    ),
    "callbacks.checkpoints": "_target_ every_n_epochs",
    "callbacks.finite_loss": "_target_",
    "callbacks.collapse": "_target_ threshold share patience",
    "callbacks.timer": "_target_",
    "callbacks.figures": "_target_ enabled every_n_epochs samples",
    "callbacks.early_stopping": "_target_ monitor patience min_delta",
    "condition": "name _target_ encoding decoder",
    "classifier": "name weight labelled",
    "classifier.head": "_target_ widths activation init init_std",
}
# Dotted paths that are always part of a run's name.
FIRST = frozenset(f"{group}.{name}".lstrip(".") for group, names in _OPTIONS.items() for name in names.split())
# The groups that hold them.
FIRST_GROUPS = frozenset(path.rsplit(".", depth)[0] for path in FIRST for depth in range(1, path.count(".") + 1))
