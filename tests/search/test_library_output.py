from __future__ import annotations

import logging

import optuna
import pytest

from search.library_output import quiet_optuna


@pytest.fixture(autouse=True)
def _verbosity():
    before = optuna.logging.get_verbosity()
    yield
    optuna.logging.set_verbosity(before)


def test_studies_are_created_in_silence():
    heard = []
    handler = logging.Handler()
    handler.emit = heard.append
    logger = logging.getLogger("optuna")
    logger.addHandler(handler)
    try:
        optuna.logging.set_verbosity(optuna.logging.INFO)
        optuna.create_study()
        assert len(heard) == 1
        quiet_optuna()
        optuna.create_study()
        assert len(heard) == 1
    finally:
        logger.removeHandler(handler)
