"""What some options need beside them."""

# Options that need others beside them.
TOGETHER = {
    "objective=gamma_power": ("sampler=multivariate_t", "likelihood=multivariate_t"),
    "model=mlp_radial": ("sampler=radius_angle",),
    "likelihood=radius_angle": ("sampler=radius_angle", "model=mlp_radial", "dataset=lognormal_2d"),
}
# Likelihoods of positive data, which digits are not.
POSITIVE = ("gamma", "lognormal", "radius_angle")
