"""What gives a small npz file the competition's classes."""

from __future__ import annotations

import numpy as np

from trainables.data import MARS

MARS_KEYS = {"class_names": np.array(MARS.class_names), "ignored_label": np.array(MARS.ignored_label)}
"""Keys that a file of the competition's size does without."""
