"""Many runs: sweeps that train them, searches that choose their options, reports that compare them."""
