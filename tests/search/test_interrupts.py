from __future__ import annotations

import signal
from contextlib import suppress

import pytest

from search import interrupts
from search.interrupts import SIGNALS, Interrupted, interrupted, raise_if_asked, raise_on_signals


@pytest.fixture
def handlers():
    """Puts back those of this process."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    interrupts._notes.close()
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_each_signal_is_an_exception_with_its_exit_code(number, code, handlers, capsys):
    raise_on_signals()
    with pytest.raises(Interrupted) as caught:
        signal.raise_signal(number)
    assert interrupted(caught.value, "begin again") == code
    assert capsys.readouterr() == ("", "interrupted: begin again\n")


def test_a_signal_whose_exception_got_lost_is_remembered(handlers):
    raise_on_signals()
    raise_if_asked()
    for number in (signal.SIGTERM, signal.SIGINT):
        with suppress(Interrupted):  # as where Python ignores what a destructor raises
            signal.raise_signal(number)
    for _ in range(2):
        with pytest.raises(Interrupted) as caught:
            raise_if_asked()
        assert caught.value.exit_code == 143


def test_a_signal_that_another_handler_took_is_remembered(handlers):
    """Ray sets one of its own when it starts."""
    raise_on_signals()
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    signal.signal(signal.SIGUSR1, lambda number, frame: None)
    signal.raise_signal(signal.SIGUSR1)
    raise_if_asked()
    signal.raise_signal(signal.SIGTERM)
    with pytest.raises(Interrupted) as caught:
        raise_if_asked()
    assert caught.value.exit_code == 143


@pytest.mark.parametrize("number", SIGNALS)
def test_what_this_process_was_told_to_ignore_stays_ignored(number, handlers):
    signal.signal(number, signal.SIG_IGN)
    raise_on_signals()
    signal.raise_signal(number)
    assert signal.getsignal(number) is signal.SIG_IGN


def test_a_keyboard_interrupt_of_pythons_own_is_ctrl_c(capsys):
    assert interrupted(KeyboardInterrupt(), "begin again") == 130
    assert capsys.readouterr().err == "interrupted: begin again\n"
