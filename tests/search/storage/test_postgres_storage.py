"""What is particular to a ledger in a database; tests/search/ledger/test_ledger.py holds for both places."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace

import optuna
import pytest

from search.checkpoints.root import check_root, claim
from search.ledger.ledger import Ledger
from search.ledger.named_places import name_database
from search.ledger.records import Segment
from search.storage import postgres_connection, postgres_storage
from search.storage.location import POINTER
from search.storage.postgres_connection import with_driver
from tests.made.studies import begin, study_settings
from tests.processes.postgres import PASSWORD, USER

SECONDS = Segment(start_seconds=1.0, wait_seconds=0.1, cpus=1.0, gpus=0.0)


@pytest.fixture
def url(study_database):
    return study_database


class Told(list):
    """What the driver was told, and what happens then."""

    then = staticmethod(lambda text: None)

    def hear(self, text):
        self.append(text)
        self.then(text)


@pytest.fixture
def told():
    return Told()


@pytest.fixture
def ledger(url, told, tmp_path):
    ledger = Ledger.create(tmp_path / "study", url, told.hear)
    yield ledger
    ledger.close()


@pytest.fixture
def stopped(postgres):
    """Kills the server; it runs again behind the test."""
    running = []

    def stop():
        postgres.kill()
        running.append(False)

    yield stop
    if running:
        postgres.start()


def without_times(records):
    return [replace(record, started=None, ended=None) for record in records]


def a_study(ledger, space, make_report):
    """Some of everything that a driver writes."""
    for score in (0.3, 0.4, 0.5):
        number = begin(ledger, space).number
        ledger.add_epoch(number, make_report(1, score))
        ledger.add_epoch(number, make_report(2, score + 0.1))
        ledger.add_segment(number, SECONDS)
    ledger.mark_audited(0, 2)
    ledger.complete(0)
    ledger.prune(1)
    ledger.fail(2, "broke")
    ledger.enqueue([{"model.depth": 2}])


def test_the_driver_reads_what_the_database_holds(ledger, space, make_report, tmp_path):
    a_study(ledger, space, make_report)
    read = Ledger.open(tmp_path / "study")
    assert without_times(read.records()) == without_times(ledger.records())
    assert read.first == ledger.first


def test_optuna_itself_reads_it(ledger, space, make_report, url):
    a_study(ledger, space, make_report)
    study = optuna.load_study(storage=with_driver(url), study_name="study")
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "PRUNED", "FAIL"]
    assert study.best_value == 0.4
    assert [trial.params for trial in study.trials] == [record.params for record in ledger.records()]
    assert study.trials[1].intermediate_values == {1: 0.4, 2: 0.5}
    assert all(trial.datetime_complete >= trial.datetime_start for trial in study.trials)


def test_a_url_without_a_user_is_for_whoever_uses_it(url, monkeypatch, tmp_path):
    monkeypatch.setenv("PGUSER", USER)
    Ledger.create(tmp_path / "shared", url.replace(f"{USER}@", "")).close()
    assert USER not in (tmp_path / "shared" / POINTER).read_text()
    assert Ledger.open(tmp_path / "shared").records() == []


def test_what_is_written_twice_is_there_once(ledger, space, make_report, monkeypatch, tmp_path):
    """As where the database writes, and goes away before it can say so."""
    connection = ledger.storage._connection
    once = connection.retry

    def twice(work):
        once(work)
        return once(work)

    monkeypatch.setattr(connection, "retry", twice)
    a_study(ledger, space, make_report)
    records = Ledger.open(tmp_path / "study").records()
    assert without_times(records) == without_times(ledger.records())
    assert [record.state for record in records] == ["complete", "pruned", "failed"]
    assert [len(record.segments) for record in records] == [1, 1, 1]


def test_an_epoch_and_an_end_are_one_transaction_each(ledger, space, make_report, monkeypatch):
    number = begin(ledger, space).number
    connection = ledger.storage._connection
    transactions, real = [], connection.retry
    monkeypatch.setattr(connection, "retry", lambda work: transactions.append(work) or real(work))
    ledger.add_epoch(number, make_report(1, 0.3))  # the value and the report
    assert len(transactions) == 1
    ledger.fail(number, "broke")  # the error and the state
    assert len(transactions) == 2


def test_a_server_that_comes_back_is_waited_for(ledger, space, make_report, postgres, told, monkeypatch, tmp_path):
    number = begin(ledger, space).number
    postgres.kill()

    told.then = lambda text: postgres.start() if "is gone" in text else None
    monkeypatch.setattr(postgres_connection, "PAUSES", (0.01,))
    ledger.add_epoch(number, make_report(1, 0.3))
    assert [record.reported_epochs for record in Ledger.open(tmp_path / "study").records()] == [1]
    assert len(told) == 2
    assert "the database is gone" in told[0]
    assert "the database is back" in told[1]


def test_a_server_that_stays_away_is_an_unwritable_study(
    ledger, space, make_report, stopped, postgres, monkeypatch, tmp_path
):
    number = begin(ledger, space).number
    stopped()
    monkeypatch.setattr(postgres_connection, "PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr(postgres_connection, "PAUSES", (0.2,))
    with pytest.raises(OSError, match="refused"):
        ledger.add_epoch(number, make_report(1, 0.3))
    assert ledger.record(number).reports == ()
    with pytest.raises(ValueError, match=f"127.0.0.1.*{postgres.port}.*refused"):
        Ledger.open(tmp_path / "study")


def test_a_reader_sees_whether_a_driver_holds_the_study(ledger, space, tmp_path):
    begin(ledger, space)
    assert [record.shown_state for record in Ledger.open(tmp_path / "study").records()] == ["running"]
    ledger.close()
    assert [record.shown_state for record in Ledger.open(tmp_path / "study").records()] == ["interrupted"]


def test_a_second_driver_is_refused_and_told_of_the_first(ledger, url, tmp_path):
    expected = r"study 'study' is run by .* on .* \(process \d+\) since 20.*: wait, or give another --name"
    with pytest.raises(ValueError, match=expected):
        Ledger.create(tmp_path / "study")
    ledger.close()
    Ledger.create(tmp_path / "study").close()


def test_a_driver_that_lost_the_study_to_another_writes_nothing(
    ledger, space, make_report, postgres, monkeypatch, tmp_path
):
    number = begin(ledger, space).number
    postgres.kill()
    postgres.start()
    mine = postgres_storage.this_driver()
    monkeypatch.setattr(postgres_storage, "this_driver", lambda: mine | {"user": "bob", "host": "elsewhere"})
    other = Ledger.create(tmp_path / "study")
    with pytest.raises(OSError, match="is run by bob on elsewhere"):
        ledger.add_epoch(number, make_report(1, 0.3))
    other.add_epoch(number, make_report(1, 0.7))
    other.close()
    with pytest.raises(OSError, match="is run by bob on elsewhere"):  # though the lock is free: it knows less by now
        ledger.add_epoch(number, make_report(1, 0.3))
    assert Ledger.open(tmp_path / "study").record(number).score == 0.7


def test_drivers_that_begin_in_an_empty_database_at_the_same_time(postgres, tmp_path):
    url = postgres.new_database()
    with ThreadPoolExecutor(4) as pool:
        ledgers = list(pool.map(lambda name: Ledger.create(tmp_path / name, url), "abcd"))
    assert [ledger.study.study_name for ledger in ledgers] == list("abcd")
    for ledger in ledgers:
        ledger.close()


def test_a_study_of_another_folder_is_refused_and_stays_as_it_is(ledger, space, url, tmp_path):
    ledger.settings = asdict(study_settings())
    begin(ledger, space)
    ledger.close()
    before = Ledger.open(tmp_path / "study").study.user_attrs
    with pytest.raises(ValueError, match=f"has another study 'study', last run by .* in {tmp_path / 'study'} on "):
        Ledger.create(tmp_path / "elsewhere" / "study", url)
    assert Ledger.open(tmp_path / "study").study.user_attrs == before
    assert not (tmp_path / "elsewhere" / "study" / POINTER).exists()


def test_a_study_whose_checkpoints_are_not_in_a_folder_goes_on_in_any(ledger, space, url, tmp_path):
    ledger.settings = asdict(study_settings(checkpoints="s3://bucket/study/checkpoints"))
    begin(ledger, space)
    ledger.close()
    later = Ledger.create(tmp_path / "elsewhere" / "study", url)
    begin(later, space)
    later.close()
    assert len(Ledger.open(tmp_path / "study").records()) == 2


def test_a_study_has_one_identity_from_wherever_it_is_run(ledger, url, tmp_path):
    ledger.settings = asdict(study_settings(checkpoints=f"file://{tmp_path}/store/study/checkpoints"))
    place, folder = ledger.settings["checkpoints"], tmp_path / "study"
    first = claim(place, ledger, folder)
    ledger.close()
    renamed = folder.rename(tmp_path / "renamed")
    second = tmp_path / "elsewhere" / "study"
    for again, of in ((renamed, None), (second, url), (renamed, None)):
        check_root(place, Ledger.find(again, of))
        later = Ledger.create(again, of)
        assert later.identity == ledger.identity == first.identity
        assert claim(place, later, again).run == later.runs[-1]
        later.close()
    assert len(Ledger.open(second).runs) == 4


def test_a_study_that_was_removed_is_not_begun_anew(ledger, space, make_report, postgres, url, tmp_path):
    number = begin(ledger, space).number
    optuna.delete_study(storage=with_driver(url), study_name="study")
    with pytest.raises(OSError, match="violates foreign key"):
        ledger.add_epoch(number, make_report(1))
    ledger.close()
    for again in (Ledger.open, Ledger.create):
        with pytest.raises(ValueError, match=r"study 'study' of .* is no longer there"):
            again(tmp_path / "study")


def test_a_database_that_was_emptied_is_not_filled_anew(ledger, postgres, url, tmp_path):
    ledger.close()
    pointer = tmp_path / "study" / POINTER
    moved = postgres.new_database()
    pointer.write_text(pointer.read_text().replace(url, moved))
    name_database(moved)
    for again in (Ledger.open, Ledger.create):
        with pytest.raises(ValueError, match=r"study 'study' of .* is no longer there"):
            again(tmp_path / "study")


def test_trials_of_something_else_are_refused(ledger, space, url, tmp_path):
    begin(ledger, space)
    optuna.load_study(storage=with_driver(url), study_name="study").enqueue_trial({"model.depth": 2})
    with pytest.raises(OSError, match="another program adds trials to study 'study'"):
        begin(ledger, space)
    with pytest.raises(ValueError, match="has a trial 1 that no search created"):
        Ledger.open(tmp_path / "study")


def test_a_database_that_cannot_be_used_is_refused_without_the_password(postgres, monkeypatch, tmp_path):
    url = postgres.new_database()

    def refused(url, expected):
        for begins in (Ledger.create, Ledger.find):
            with pytest.raises(ValueError, match=expected) as caught:
                begins(tmp_path / "study", url)
            assert "secret" not in str(caught.value)

    refused(postgres.url("missing"), 'database "missing" does not exist')
    refused(url.replace("searcher", "mallory"), "password authentication failed.*PGPASSWORD or ~/.pgpass")
    refused(url.replace(f":{postgres.port}", ":1"), "refused")
    refused(f"{url}?nonsense=1", "nonsense")
    monkeypatch.setenv("PGPASSWORD", "secret no more")
    refused(url, "password authentication failed")
    monkeypatch.delenv("PGPASSWORD")
    refused(url, "no password supplied; the password comes from PGPASSWORD or ~/.pgpass")
    assert not (tmp_path / "study" / POINTER).exists()


def test_a_role_that_may_only_read_watches_and_writes_nothing(ledger, space, postgres, url, monkeypatch, tmp_path):
    begin(ledger, space)
    database = url.rpartition("/")[2]
    role = f"watcher_{database}"
    postgres.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'")
    postgres.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}", database)
    ledger.close()
    pointer = tmp_path / "study" / POINTER
    pointer.write_text(pointer.read_text().replace("searcher", role))
    name_database(url.replace("searcher", role))
    assert len(Ledger.open(tmp_path / "study").records()) == 1
    with pytest.raises(ValueError, match="permission denied"):
        Ledger.create(tmp_path / "study")


def test_psycopg_is_asked_for_where_it_is_missing(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "psycopg", None)
    with pytest.raises(ValueError, match=r"needs psycopg: pip install 'mars-search\[postgres\]'"):
        Ledger.create(tmp_path / "study", "postgresql://127.0.0.1/studies")


def test_the_password_is_nowhere_on_disk(ledger, space, tmp_path):
    begin(ledger, space)
    texts = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert texts
    assert not any(PASSWORD.encode() in text for text in texts)
