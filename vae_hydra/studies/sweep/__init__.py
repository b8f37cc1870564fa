"""A ``--multirun`` of training: Hydra's plugin, the plan of its runs, their processes and their table on W&B."""
