"""Functions that provide a dataset, one file each: a configuration's ``dataset.source`` names one of them."""
