"""The search: options, space, ledger, sampler, scheduler, tuner and the views on a running study."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""Root folder of the project."""
