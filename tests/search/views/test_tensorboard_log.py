from __future__ import annotations

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer
from tensorboard.plugins.hparams import plugin_data_pb2

from search.views.tensorboard_log import ABSENT, TensorBoardLogger
from tests.made.studies import begin


def hparams(accumulator, tag):
    content = accumulator.SummaryMetadata(tag).plugin_data.content
    return plugin_data_pb2.HParamsPluginData.FromString(content)


def test_tensorboards_own_reader_finds_scalars_hparams_and_pictures(ledger, space, make_report, tmp_path):
    folder = tmp_path / "study"
    picture = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    board = TensorBoardLogger(
        folder, space, ("soil", "sand"), painter=lambda record: picture if record.number == 0 else None
    )
    records = [begin(ledger, space) for _ in range(3)]
    for record in records:
        board.trial_started(record)
        for epoch in (1, 2):
            report = make_report(epoch, 0.1 * epoch + 0.01 * record.number)
            ledger.add_epoch(record.number, report)
            board.epoch_ended(record, report)
    board.trial_ended(ledger.complete(0))
    board.trial_ended(ledger.prune(1))
    board.trial_ended(ledger.fail(2, "boom"))
    board = TensorBoardLogger(folder, space, ("soil", "sand"))  # a study that continues
    records.append(begin(ledger, space))
    board.trial_started(records[3])
    for epoch in (1, 2):
        board.epoch_ended(records[3], make_report(epoch, 0.1 * epoch + 0.03))
    board.trial_ended(ledger.prune(3))

    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(folder))
    multiplexer.Reload()
    assert set(multiplexer.Runs()) == {f"trials/{number:04d}" for number in range(4)}  # and no run "." without values
    tag = "_hparams_/experiment"
    assert [run for run in multiplexer.Runs() if tag in multiplexer.PluginRunToTagToContent("hparams")[run]] == [
        "trials/0000"
    ]
    experiment = hparams(multiplexer.GetAccumulator("trials/0000"), tag).experiment
    assert [info.name for info in experiment.hparam_infos] == [parameter.name for parameter in space.parameters]
    assert "best_mean_iou" in [info.name.tag for info in experiment.metric_infos]

    for record in records:
        accumulator: EventAccumulator = multiplexer.GetAccumulator(f"trials/{record.number:04d}")
        events = accumulator.Scalars("mean_iou")
        assert [event.step for event in events] == [1, 2]
        np.testing.assert_allclose(events[1].value, 0.2 + 0.01 * record.number, rtol=1e-6)
        assert {"loss/train", "loss/val", "iou/soil", "learning_rate"} <= set(accumulator.Tags()["scalars"])
        start = hparams(accumulator, "_hparams_/session_start_info").session_start_info
        shown = {name: value.WhichOneof("kind") and value for name, value in start.hparams.items()}
        assert set(shown) == {parameter.name for parameter in space.parameters}
        for parameter in space.parameters:
            absent = parameter.name not in record.params
            assert (shown[parameter.name].string_value == ABSENT) == absent, parameter.name
        end = hparams(accumulator, "_hparams_/session_end_info").session_end_info
        assert end.status == (2 if record.number == 2 else 1)  # Status: 1 success, 2 failure
        assert accumulator.Tags()["images"] == (["input, truth, prediction, errors"] if record.number == 0 else [])


def test_a_resumed_trial_goes_on_in_its_run(ledger, space, make_report, tmp_path):
    record = begin(ledger, space)
    for epoch in (1, 2):  # a new driver for each
        board = TensorBoardLogger(tmp_path / "study", space, ("soil",))
        board.trial_started(record)
        board.epoch_ended(record, make_report(epoch))
    accumulator = EventMultiplexer().AddRunsFromDirectory(str(tmp_path / "study"))
    accumulator.Reload()
    assert [event.step for event in accumulator.Scalars("trials/0000", "mean_iou")] == [1, 2]


def test_a_trial_that_ends_while_it_is_paused_has_its_end_and_picture_too(ledger, space, make_report, tmp_path):
    record = begin(ledger, space)
    board = TensorBoardLogger(
        tmp_path / "study", space, ("soil",), painter=lambda record: np.zeros((4, 6, 3), np.uint8)
    )
    board.trial_started(record)
    report = make_report(1)
    ledger.add_epoch(0, report)
    board.epoch_ended(record, report)
    board.trial_paused(ledger.record(0))
    board.trial_ended(ledger.prune(0))
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(tmp_path / "study"))
    multiplexer.Reload()
    accumulator = multiplexer.GetAccumulator("trials/0000")
    assert hparams(accumulator, "_hparams_/session_end_info").session_end_info.status == 1
    assert accumulator.Tags()["images"]


def test_a_picture_that_cannot_be_painted_leaves_the_trial_its_end(ledger, space, make_report, tmp_path):
    def painter(record):
        raise ValueError("best.pt is missing")

    record = begin(ledger, space)
    board = TensorBoardLogger(tmp_path / "study", space, ("soil",), painter)
    board.trial_started(record)
    ledger.add_epoch(0, make_report(1))
    with pytest.raises(ValueError, match=r"best\.pt is missing"):
        board.trial_ended(ledger.complete(0))
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(tmp_path / "study"))
    multiplexer.Reload()
    accumulator = multiplexer.GetAccumulator("trials/0000")
    assert hparams(accumulator, "_hparams_/session_end_info").session_end_info.status == 1
