"""Tests and benchmarks. Whatever imports them must not look for updates of Albumentations over the network."""

import os

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
