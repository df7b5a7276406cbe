from __future__ import annotations

import numpy as np


def look_alikes(images: np.ndarray) -> np.ndarray:
    return np.arange(len(images))
