"""Imports the libraries that the commands use, so that processes forked from this one have them at once."""

import albumentations  # noqa: F401
import filelock  # noqa: F401
import kornia.losses  # noqa: F401
import matplotlib.figure  # noqa: F401
import optuna  # noqa: F401
import pyarrow.parquet  # noqa: F401
import ray.tune  # noqa: F401
import rich.table  # noqa: F401
import scipy.stats  # noqa: F401
import sklearn.ensemble  # noqa: F401
import torch.utils.tensorboard  # noqa: F401
import torchmetrics.classification  # noqa: F401
