"""The tables of Optuna that a driver writes to have the columns of the tested version."""

from __future__ import annotations

import ast
from pathlib import Path

import optuna
import pytest

from search import ROOT
from search.storage import optuna_tables

COLUMNS = {
    "StudyModel": {"study_id", "study_name"},
    "StudyUserAttributeModel": {"study_user_attribute_id", "study_id", "key", "value_json"},
    "TrialModel": {"trial_id", "number", "study_id", "state", "datetime_start", "datetime_complete"},
    "TrialParamModel": {"param_id", "trial_id", "param_name", "param_value", "distribution_json"},
    "TrialUserAttributeModel": {"trial_user_attribute_id", "trial_id", "key", "value_json"},
    "TrialValueModel": {"trial_value_id", "trial_id", "objective", "value", "value_type"},
    "TrialIntermediateValueModel": {
        "trial_intermediate_value_id",
        "trial_id",
        "step",
        "intermediate_value",
        "intermediate_value_type",
    },
}
USING = {"search/storage/optuna_tables.py", "search/sampling/history_study.py"}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_table_has_these_columns(name):
    columns = {column.name for column in getattr(optuna_tables, name).__table__.columns}
    assert columns == COLUMNS[name], (
        f"this version of Optuna changed the table of {name}: adapt search/storage/, or pin another Optuna"
    )


def test_the_time_of_an_end_is_a_column_of_trials():
    assert optuna_tables.ENDED.property.columns[0].name == "datetime_complete"


def test_a_trial_has_its_key():
    study = optuna.create_study()
    study.ask()
    assert optuna_tables.key_of(study.trials[0]) == study.trials[0]._trial_id == 0


def private(source: str) -> bool:
    """Whether a module imports private modules of Optuna, or reads private attributes of its studies and trials."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("optuna") and "._" in str(node.module):
            return True
        if isinstance(node, ast.Attribute) and node.attr in (
            "_trial_id",
            "_storage",
            "_get_trials",
            "_datetime_complete_utc",
        ):
            return True
        if isinstance(node, ast.FunctionDef) and node.name == "_get_trials":
            return True
    return False


def test_no_other_module_uses_private_parts_of_optuna():
    files = [path for folder in ("search", "trainables", "reports") for path in Path(ROOT, folder).rglob("*.py")]
    using = {path.relative_to(ROOT).as_posix() for path in files if private(path.read_text())}
    assert using == USING
