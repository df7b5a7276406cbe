"""The modules that matter, each with the quick tests that must notice a mutation of it."""

from __future__ import annotations

_TRAINING = ["tests/trainables/test_epochs.py", "tests/trainables/test_stages.py"]
_LOSSES = ["tests/trainables/losses", "tests/trainables/test_losses.py", "tests/contracts/test_losses.py"]
_CONFIG = [f"tests/trainables/{name}.py" for name in ("test_config", "test_config_flat", "test_config_parts")]
_PREPARED = "tests/trainables/data/test_prepared_values.py"

MODULES: dict[str, list[str]] = {
    **{
        f"trainables/losses/{name}.py": _LOSSES
        for name in ("__init__", "boundary", "cross_entropy", "focal", "lovasz", "regions", "task")
    },
    "trainables/augmentations.py": [
        "tests/trainables/test_augmentation_sizes.py",
        "tests/trainables/test_augmentations.py",
        "tests/contracts/test_augmentations.py",
    ],
    **{f"trainables/{name}.py": _CONFIG for name in ("config", "config_parts", "config_rules")},
    "trainables/evaluation.py": ["tests/trainables/test_evaluation.py"],
    "trainables/schedules.py": [
        "tests/trainables/test_schedule_rates.py",
        "tests/trainables/test_schedules.py",
        "tests/contracts/test_schedules.py",
    ],
    "trainables/epochs.py": _TRAINING,
    "trainables/training.py": [*_TRAINING, "tests/trainables/test_training.py"],
    "trainables/batches.py": ["tests/trainables/test_batches.py"],
    "trainables/mixing.py": ["tests/trainables/test_mixing.py"],
    "trainables/data/audit.py": [
        "tests/trainables/data/test_audit.py",
        "tests/trainables/data/test_audit_limits.py",
        "tests/trainables/data/test_report.py",
        _PREPARED,
    ],
    "trainables/data/description.py": [
        "tests/trainables/data/test_description.py",
        "tests/trainables/data/test_npz_keys.py",
    ],
    "trainables/data/npz.py": [
        "tests/trainables/data/test_npz.py",
        "tests/trainables/data/test_npz_pixels.py",
        "tests/trainables/data/test_npz_keys.py",
        "tests/trainables/data/test_report.py",
    ],
    "trainables/data/prepare.py": [
        "tests/trainables/data/test_cache.py",
        _PREPARED,
        "tests/trainables/data/test_prepare.py",
    ],
    "trainables/data/report.py": ["tests/trainables/data/test_report.py", _PREPARED],
    "trainables/data/source.py": ["tests/trainables/data/test_source.py", _PREPARED],
    "trainables/data/split.py": [
        "tests/trainables/data/test_split_sizes.py",
        "tests/trainables/data/test_split.py",
        _PREPARED,
    ],
    "trainables/checkpoints.py": ["tests/trainables/test_checkpoints.py"],
    "search/promotion.py": ["tests/search/test_promotion.py"],
    "search/scheduler.py": ["tests/search/test_scheduler.py"],
    "search/judge.py": ["tests/search/test_judge.py"],
    "search/proposals.py": ["tests/search/test_proposals.py"],
    "search/encoding.py": ["tests/search/test_encoding.py"],
    "search/forest.py": ["tests/search/test_forest.py"],
    "search/ledger.py": [
        f"tests/search/test_{name}.py" for name in ("ledger_entries", "ledger_folders", "ledger", "database_storage")
    ],
    "search/trial_record.py": ["tests/search/test_trial_record.py"],
    "search/journal.py": ["tests/search/test_journal.py"],
    **{
        f"search/{name}.py": [f"tests/search/test_{name}.py"]
        for name in ("ledger_place", "housekeeping", "study_lock", "settings", "placement")
    },
    "search/space.py": [f"tests/search/test_{name}.py" for name in ("declared_spaces", "parameters", "space")],
    "search/systems.py": ["tests/search/test_declared_systems.py", "tests/search/test_systems.py"],
    "search/leaderboard.py": ["tests/search/test_leaderboard.py"],
    "search/recorder.py": ["tests/search/test_recorder.py"],
    "search/searcher.py": ["tests/search/test_searcher.py"],
    "search/costs.py": ["tests/search/test_costs.py"],
    "search/audit.py": ["tests/search/test_audit.py"],
    "search/budgets.py": ["tests/search/test_budgets.py"],
    "search/fair_share.py": ["tests/search/test_fair_share.py"],
    "search/stopping.py": ["tests/search/test_stopping.py"],
    "reports/submission.py": ["tests/reports/test_submission.py"],
    "reports/retrain.py": ["tests/reports/test_retrain_plan.py", "tests/reports/test_retrain.py"],
    "reports/systems_table.py": [
        f"tests/reports/test_{name}.py" for name in ("systems_table", "second_stage", "systems_output", "system_scores")
    ],
    "reports/study_facts.py": ["tests/reports/test_study_facts.py"],
    "reports/leaderboard_files.py": ["tests/reports/test_leaderboard_rows.py"],
}
