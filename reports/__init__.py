"""From a study to its leaderboard, report page, final model and submission.

from reports import load_model

model = load_model("runs/NAME")
mask = model.predict("image.png")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reports.bundle.load import load_model as load_model
    from reports.bundle.model import Model as Model

__all__ = ["Model", "load_model"]


def __getattr__(name: str) -> Any:
    """Import the names above on first use: the commands answer `--help` without PyTorch."""
    if name == "load_model":
        from reports.bundle.load import load_model

        return load_model
    if name == "Model":
        from reports.bundle.model import Model

        return Model
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
