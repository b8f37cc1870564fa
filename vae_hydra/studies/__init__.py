"""Many runs: sweeps, searches and reports."""
