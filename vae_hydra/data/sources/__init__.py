"""Source functions: each file provides one dataset.

A new dataset ``NAME`` needs two files and no other change:

1. ``vae_hydra/data/sources/NAME.py``: a function of plain options with the annotation ``-> Source``. Images are uint8
   [N, C, H, W] with ``scale=1 / 255``, vectors float32 [N, D]; labels are int64 from 0. Draws depend on ``seed`` alone.
   Images in files go through ``image_cache.converted``, which may leave them on disk.
2. ``conf/dataset/NAME.yaml``: a first comment for ``--help``, ``defaults: [_common, _self_]``, ``name: NAME``, and
   ``source`` with its ``_target_`` and options, e.g. ``seed: ${dataset.seed}``.

Both files may also be in a package of your own: train with ``--config-dir``, open the run with ``trust=[PACKAGE]``.
"""
