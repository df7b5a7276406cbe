"""Merges a journal's entries, so that Optuna replays a study of many epochs as fast as one of few.

For each entry that changes a trial, Optuna copies the trial with everything that it has so far. The time for a trial
grows with the square of its epochs. Merged, all epochs of a trial come with the entry that created it.
"""

from __future__ import annotations

from typing import Any

from optuna.trial import TrialState

from search.storage.entry_validation import (
    CREATE_STUDY,
    CREATE_TRIAL,
    DELETE_STUDY,
    SET_STATE,
    SET_USER_ATTR,
    SET_VALUE,
)


def merged(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return entries that Optuna replays to the same study: fewer, as each trial is created with its epochs.

    An epoch's value and user attribute move into the entry that created the trial, if no entry before them sets the
    trial's state: whether later ones count is for Optuna to decide. A journal of several studies, which no search
    writes, is returned as it is.

    Args:
        entries: all entries of a journal from its first, each valid (see `check_entry`); they are not changed.
    """
    if not _holds_one_study(entries):
        return entries
    kept: list[dict[str, Any]] = []
    created: list[dict[str, Any] | None] = []
    """By Optuna's id of a trial, the entry that takes its epochs; None once its state has been set."""
    for entry in entries:
        operation = entry["op_code"]
        if operation == CREATE_TRIAL:
            entry = {**entry, **{name: dict(entry.get(name, {})) for name in ("user_attrs", "intermediate_values")}}
            running = not TrialState(entry.get("state", TrialState.RUNNING)).is_finished()
            created.append(entry if running else None)
        elif operation in (SET_VALUE, SET_USER_ATTR, SET_STATE) and entry["trial_id"] < len(created):
            if operation == SET_STATE:
                created[entry["trial_id"]] = None
            elif (trial := created[entry["trial_id"]]) is not None:
                if operation == SET_VALUE:
                    trial["intermediate_values"][str(entry["step"])] = entry["intermediate_value"]
                else:
                    trial["user_attrs"].update(entry["user_attr"])
                continue
        kept.append(entry)
    return kept


def _holds_one_study(entries: list[dict[str, Any]]) -> bool:
    """Return whether the first entry creates a study, and all trials are in it: their ids then count from 0."""
    if not entries or entries[0]["op_code"] != CREATE_STUDY:
        return False
    return all(
        entry["op_code"] != DELETE_STUDY and (entry["op_code"] != CREATE_TRIAL or entry["study_id"] == 0)
        for entry in entries
    )
