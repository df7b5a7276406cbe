"""The modules that matter, each with the quick tests that must notice a mutation of it."""

from __future__ import annotations

_LOOP = [f"tests/trainables/test_epochs{part}.py" for part in ("_scripted", "_checkpoints", "")]
_TRAINING = [f"tests/trainables/test_{name}.py" for name in ("training", "training_parts", "stages")]
_LOSSES = ["tests/trainables/losses", "tests/trainables/test_losses.py", "tests/contracts/test_losses.py"]
_DATA = ["tests/trainables/data"]

MODULES: dict[str, list[str]] = {
    **{
        f"trainables/losses/{name}.py": _LOSSES
        for name in ("__init__", "boundary", "cross_entropy", "focal", "lovasz", "regions", "task")
    },
    "trainables/evaluation.py": [f"tests/trainables/test_evaluation{part}.py" for part in ("_by_hand", "")],
    "trainables/schedules.py": ["tests/trainables/test_schedules.py", "tests/contracts/test_schedules.py"],
    "trainables/epochs.py": _LOOP,
    "trainables/training.py": [*_TRAINING, "tests/trainables/test_epochs.py"],
    "trainables/stages.py": ["tests/trainables/test_stages.py"],
    "trainables/objective.py": ["tests/trainables/test_objective.py"],
    "trainables/optimizers.py": ["tests/trainables/test_optimizers.py", "tests/contracts/test_optimizers.py"],
    "trainables/trial.py": ["tests/trainables/test_trial.py"],
    "trainables/batches.py": [f"tests/trainables/test_batches{part}.py" for part in ("_counted", "")],
    "trainables/mixing.py": [f"tests/trainables/test_mixing{part}.py" for part in ("_by_hand", "")],
    **{
        f"trainables/data/{name}.py": _DATA
        for name in ("audit", "description", "npz", "prepare", "report", "source", "split")
    },
    "trainables/checkpoints.py": [f"tests/trainables/test_checkpoints{part}.py" for part in ("_retried", "")],
    "search/promotion.py": ["tests/search/test_promotion.py"],
    "search/scheduler.py": ["tests/search/test_scheduler.py"],
    "search/judge.py": ["tests/search/test_judge.py"],
    "search/proposals.py": ["tests/search/test_proposals.py"],
    "search/encoding.py": ["tests/search/test_encoding.py"],
    "search/forest.py": ["tests/search/test_forest.py"],
    "search/ledger.py": ["tests/search/test_ledger.py", "tests/search/test_ledger_place.py"],
    "search/trial_record.py": ["tests/search/test_ledger.py"],
    "search/journal.py": ["tests/search/test_journal.py"],
    "search/recorder.py": ["tests/search/test_recorder.py"],
    "search/searcher.py": ["tests/search/test_searcher.py"],
    "search/costs.py": ["tests/search/test_costs.py"],
    "search/audit.py": ["tests/search/test_audit.py"],
    "search/budgets.py": ["tests/search/test_budgets.py"],
    "search/fair_share.py": ["tests/search/test_fair_share.py"],
    "search/stopping.py": ["tests/search/test_stopping.py"],
    "reports/submission.py": ["tests/reports/test_submission.py"],
    "reports/retrain.py": ["tests/reports/test_retrain.py"],
    "reports/systems_table.py": ["tests/reports/test_systems_table.py"],
}
