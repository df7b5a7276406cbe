"""One driver a study where machines share a place, and stale claims are told apart from living ones."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from search.locking import driver_claim as module
from search.locking.driver_claim import Holder, held, is_driven
from search.locking.folder_lock import describe

ELSEWHERE = {"user": "bob", "host": "node9", "process": 12, "since": "2024-05-01T12:00:00+02:00"}


@pytest.fixture
def place(tmp_path):
    return str(tmp_path / "store" / "mars")


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """A beat is a hundredth of a second here; nobody is gone unless a test says so."""
    monkeypatch.setattr(module, "BEAT_SECONDS", 0.01)
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(module, "GONE_SECONDS", 600.0)


def files(place):
    return sorted(path.name for path in Path(place).iterdir())


def left(place, age=0.0, **changes):
    """A file as a driver on another machine leaves it that ended so long ago; returns its path."""
    Path(place).mkdir(parents=True, exist_ok=True)
    path = Path(place) / "driver-0123.json"
    path.write_text(json.dumps(ELSEWHERE | {"machine": "node9", "began": 1.0} | changes))
    then = time.time() - age
    os.utime(path, (then, then))
    return path


def wait_for(what):
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_the_place_says_who_holds_it_and_is_empty_afterwards(place):
    with held(place, "mars", pytest.fail):
        (name,) = files(place)
        driver = json.loads((Path(place) / name).read_text())
        assert driver["process"] == os.getpid()
        assert describe(driver).endswith(driver["since"])
    assert files(place) == []


def test_a_second_driver_of_this_machine_is_refused_at_once(place):
    expected = rf"^study 'mars' is run by .* on .* \(process {os.getpid()}\) since .*: wait, or give another --name$"
    with held(place, "mars", pytest.fail):
        before = files(place)
        with pytest.raises(ValueError, match=expected), held(place, "mars", pytest.fail):
            pass
        assert files(place) == before
    with held(place, "mars", pytest.fail):
        pass


HOLDER = """
import sys
from search.locking.driver_claim import held
with held(sys.argv[1], "mars", print):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_driver_of_this_machine_that_was_killed_is_gone_at_once(place):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, place], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path.cwd()
    )
    assert process.stdout.readline() == b"held\n"
    with pytest.raises(ValueError, match=rf"\(process {process.pid}\)"), held(place, "mars", pytest.fail):
        pass
    process.kill()
    wait_for(lambda: psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE)  # nobody has asked how it ended
    with held(place, "mars", pytest.fail):
        assert len(files(place)) == 1
    process.communicate()


def test_a_number_that_another_process_has_by_now_is_nobodys(place):
    mine = psutil.Process()
    here = {"machine": module._machine(), "process": mine.pid}
    left(place, **here, began=mine.create_time() - 100)
    with held(place, "mars", pytest.fail):
        assert len(files(place)) == 1
    left(place, **here, began=mine.create_time())
    with pytest.raises(ValueError, match="is run by bob"), held(place, "mars", pytest.fail):
        pass


def test_a_driver_on_another_machine_is_gone_when_its_file_is_old_enough(place, monkeypatch):
    monkeypatch.setattr(module, "GONE_SECONDS", 90.0)
    left(place, age=91)
    with held(place, "mars", pytest.fail):
        assert "driver-0123.json" not in files(place)


def test_one_that_renews_its_file_is_refused_after_a_look(place):
    """Whatever the clock of the machine says: the file's age is in the place's own time, and a beat is seen."""
    path, told = left(place, age=50), []

    def beat(text):
        told.append(text)
        os.utime(path)

    with pytest.raises(ValueError, match=r"study 'mars' is run by bob on node9 \(process 12\) since 2024"):
        Holder(place, "mars").take(beat)
    assert files(place) == [path.name]
    assert len(told) == 1
    assert told[0].startswith("study 'mars' is or was run by bob on node9 (process 12)")
    assert re.search(r": checking for up to 5[45]\d s whether that driver still runs$", told[0])


@pytest.mark.parametrize("age", [0, -3600])
def test_one_that_is_silent_is_outlived_also_with_a_time_to_come(age, place, monkeypatch):
    monkeypatch.setattr(module, "GONE_SECONDS", 0.2)
    left(place, age=age)
    told = []
    with held(place, "mars", told.append):
        assert "driver-0123.json" not in files(place)
    assert len(told) == 1


def test_one_that_ends_while_it_is_looked_at_is_gone(place):
    path = left(place)
    with held(place, "mars", lambda text: path.unlink()):
        assert len(files(place)) == 1


def test_an_interrupted_look_leaves_nothing(place):
    left(place)

    def interrupt(text):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), held(place, "mars", interrupt):
        pass
    assert files(place) == ["driver-0123.json"]


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "null", '{"user": 3}'])
def test_a_file_that_does_not_say_whose_it_is_counts_by_its_age(content, place, monkeypatch):
    path = left(place)
    path.write_text(content)
    with pytest.raises(ValueError, match="study 'mars' is run by another driver"):
        Holder(place, "mars").take(lambda text: os.utime(path, (1, 1)))
    monkeypatch.setattr(module, "GONE_SECONDS", 0.05)
    with held(place, "mars", lambda text: None):
        assert len(files(place)) == 1


@pytest.mark.parametrize("changes", [{"process": -1}, {"process": 0}, {"process": "12"}, {"began": "x"}, {"host": 3}])
def test_what_no_driver_writes_is_not_asked_for_its_process(changes, place, monkeypatch):
    monkeypatch.setattr(module, "GONE_SECONDS", 90.0)
    left(place, age=91, **{"machine": module._machine()} | changes)
    with held(place, "mars", pytest.fail):
        assert len(files(place)) == 1


def test_a_held_place_is_renewed_by_itself(place):
    with held(place, "mars", pytest.fail):
        (name,) = files(place)
        seen = {(Path(place) / name).stat().st_mtime_ns}

        def renewed():
            seen.add((Path(place) / name).stat().st_mtime_ns)
            return len(seen) > 3

        wait_for(renewed)


def test_a_driver_that_was_taken_for_gone_is_told_and_writes_there_no_more(place):
    told = []
    with held(place, "mars", pytest.fail) as holder:
        (name,) = files(place)
        left(place)
        (Path(place) / name).unlink()
        wait_for(lambda: holder._lost is not None)
        holder.when_lost(told.append)
        assert [str(error) for error in told] == [
            f"study 'mars' is run by {describe(ELSEWHERE)}: wait, or give another --name"
        ]
        assert files(place) == ["driver-0123.json"]
    assert files(place) == ["driver-0123.json"]


def test_it_is_told_from_whenever_it_asks(place):
    told = []
    with held(place, "mars", pytest.fail) as holder:
        (name,) = files(place)
        holder.when_lost(told.append)
        left(place)
        (Path(place) / name).unlink()
        wait_for(lambda: told)


def test_a_file_that_somebody_tidied_away_comes_back(place):
    with held(place, "mars", pytest.fail) as holder:
        (name,) = files(place)
        (Path(place) / name).unlink()
        wait_for(lambda: files(place) == [name])
        assert holder._lost is None


def test_a_place_that_is_away_for_a_while_is_no_reason_to_end(place):
    with held(place, "mars", pytest.fail) as holder:
        (name,) = files(place)
        away = Path(place).rename(f"{place}-away")
        time.sleep(0.1)
        assert not Path(place).exists()  # a study that was removed is not made again
        before = (away / name).stat().st_mtime_ns
        away.rename(place)
        wait_for(lambda: (Path(place) / name).stat().st_mtime_ns > before)
        assert holder._lost is None


def test_of_two_that_come_at_the_same_time_at_most_one_holds_the_place(place):
    for _ in range(20):
        start, outcomes = threading.Barrier(2), []

        def come(start=start, outcomes=outcomes):
            holder = Holder(place, "mars")
            start.wait()
            try:
                holder.take(pytest.fail)
                outcomes.append(holder)
            except ValueError:
                outcomes.append(None)

        threads = [threading.Thread(target=come) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        holding = [holder for holder in outcomes if holder is not None]
        assert len(holding) <= 1
        for holder in holding:
            holder.release()
        assert files(place) == []


def test_a_place_that_cannot_be_written_is_named():
    expected = r"^/proc/study: cannot write the study there \(.+\); give another place with --storage$"
    with pytest.raises(ValueError, match=expected), held("/proc/study", "mars", pytest.fail):
        pass


def test_an_object_store_is_held_too(object_store, monkeypatch):
    place = object_store("runs/mars/checkpoints")
    with held(place, "mars", pytest.fail), pytest.raises(ValueError, match=rf"process {os.getpid()}"):
        Holder(place, "mars").take(pytest.fail)
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(module, "_machine", lambda: "another")
        first = Holder(place, "mars")
    first._files.write(first._name, first._text)
    monkeypatch.setattr(module, "GONE_SECONDS", 0.5)
    with held(place, "mars", lambda text: None) as holder:
        assert first._name not in holder._files.changed()


def test_a_reader_sees_whether_a_driver_runs_the_study(place):
    """Of another machine's driver it knows what the files say; one of this machine must be alive."""
    assert not is_driven(Path(place))
    path = left(place, age=500.0)
    assert is_driven(Path(place))
    left(place, age=700.0)
    assert not is_driven(Path(place))
    left(place, machine=module._machine(), process=os.getpid(), began=psutil.Process().create_time())
    assert is_driven(Path(place))
    left(place, machine=module._machine(), process=os.getpid(), began=psutil.Process().create_time() - 100)
    assert not is_driven(Path(place))
    path.unlink()
    with held(place, "mars", pytest.fail):
        assert is_driven(Path(place))
    assert files(place) == []
