from __future__ import annotations

import dataclasses
import errno
import io
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from reports import load_model
from reports.command import run
from reports.final_model.retrain_and_predict import finish
from reports.inputs import read_study
from reports.options import check_together, parser
from reports.output import class_figures, trial_figures
from reports.submission_csv import check_submission
from search.exit_status import BROKEN, refuse
from search.ledger.ledger import Ledger
from tests.processes.scripts import HANGS_AFTER, run_script
from trainables.atomic_write import is_temporary
from trainables.data import MARS, DataDescription, PreparedData
from trainables.prediction.predictor import Predictor
from trainables.training.checkpoint_store import checkpoint_store

ROOT = Path(__file__).resolve().parents[2]
WRITTEN = ("report.html", "leaderboard.csv", "leaderboard.parquet")
INTERVAL = r"{} 0\.\d{{3}} \(0\.\d{{3}} to [01]\.\d{{3}}\)"


def report(*arguments, onnx=False):
    """Run the command; the export of the ONNX file takes long."""
    run(parser().parse_args([*map(str, arguments), *([] if onnx else ["--no-onnx"])]))


def test_the_whole_report(study, capsys, monkeypatch):
    report(study)
    output = capsys.readouterr().out
    files = {path.name for path in (study / "report").iterdir()}
    assert files == {*WRITTEN, "predictor.json", "submission.csv", "retrain", "model"}
    check_submission(study / "report" / "submission.csv", rows=70, pixels=16 * 24, classes=5, refused=0)
    assert re.search(INTERVAL.format("held-out test: mean IoU"), output)
    assert "data set tiny, split 80/10/10 with seed 0" in output
    assert "the study is not finished; trials: 1 interrupted" in output
    assert re.search(
        INTERVAL.format("\nmean IoU")
        + INTERVAL.format(" on the held-out test part,")
        + " on validation; data set tiny",
        output,
    )
    assert "final training on all 24 labelled images" in output

    page = (study / "report" / "report.html").read_text()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    assert "The study is not finished." in page
    assert "have seen every label" in page
    assert not re.findall(r"""(?:src|href)\s*=\s*["'](?!data:|#)[^"']+""", page)
    assert page.count("<svg") == 4


WORDS_OF_THE_COMPETITION = re.compile("mars|terrain|tile|camera|frame|competition", re.IGNORECASE)


@pytest.mark.parametrize(
    ("description", "said"),
    [
        (
            MARS,
            "without a label do not count, and the ignored class is never predicted. Tiles of one camera frame",
        ),
        (
            DataDescription(class_names=tuple("01234"), ignored_label=None),
            "that it holds: 0, 1, 2, 3, 4. Images of one scene,",
        ),
    ],
)
def test_the_page_speaks_of_the_competition_with_its_data_only(description, said, study, capsys, monkeypatch):
    monkeypatch.setattr(PreparedData, "description", description)
    report(study, "--no-submission", "--plain-labels", "--members", "1")
    page = (study / "report" / "report.html").read_text().partition("</style>")[2]
    assert said in re.sub(r"\s+", " ", page)
    text = re.sub("<svg.*?</svg>|<img.*?>", "", page, flags=re.DOTALL) + capsys.readouterr().out
    assert bool(WORDS_OF_THE_COMPETITION.search(text)) == description.of_competition


def test_the_submission_may_come_from_the_searchs_own_model(study):
    report(study, "--no-retrain", "--allow-ignored")
    assert not (study / "report" / "retrain").exists()
    check_submission(study / "report" / "submission.csv", rows=70, pixels=16 * 24, classes=5, refused=None)


def test_labels_may_be_plain_and_the_best_trial_alone(study, capsys, monkeypatch):
    monkeypatch.setattr(
        "reports.prediction.predictor_choice.choose_decision", lambda found: pytest.fail("a decision was fitted")
    )
    report(study, "--plain-labels", "--members", "1", "--no-submission")
    assert re.search(r"weights of trial 000\d\n", capsys.readouterr().out)


def test_a_running_trial_that_has_saved_another_epoch_is_told_and_counts_with_it(study, capsys):
    facts = read_study(study, None)
    root = facts.settings.checkpoint_root(study)
    saved = checkpoint_store(root, facts.best.number).load("best")
    told = dataclasses.replace(facts.best.best, epoch=1, score=0.0005, ended=None)
    Ledger.create(study).add_epoch(4, told)
    newer = dataclasses.replace(told, epoch=2, score=0.999)
    checkpoint_store(root, 4).save("best", saved | {"epoch": 2, "reports": [told.to_dict(), newer.to_dict()]})
    report(study, "--no-submission", "--members", "4")
    assert "trial 0004 counts as what its best.pt holds: epoch 2, mean IoU 0.9990" in capsys.readouterr().out
    first = (study / "report" / "leaderboard.csv").read_text().splitlines()[1]
    assert first.startswith('1,4,"interrupted",0.999,')


def test_a_time_budget_is_spent(study, capsys, monkeypatch):
    monkeypatch.setattr("reports.final_model.finalist_training.LONGEST", 2)  # takes seconds, not the whole budget
    monkeypatch.setattr("reports.final_model.finalist_training.MOST", 1)
    report(study, "--time-budget", "600s")
    output = capsys.readouterr().out
    assert "finalist: trial 000" in output
    assert re.search(r"finalist on validation: mean IoU 0\.\d{3}", output)
    assert "final training on all 24 labelled images" in output
    check_submission(study / "report" / "submission.csv", rows=70, pixels=16 * 24, classes=5, refused=0)


def test_a_report_without_a_submission(study):
    report(study, "--no-submission")
    assert {path.name for path in (study / "report").iterdir()} == {*WRITTEN, "model"}


def test_data_without_a_test_set_gets_its_final_model_but_no_submission(study, capsys, monkeypatch):
    monkeypatch.setattr(PreparedData, "unlabelled", None)
    report(study)
    assert "nothing to submit" in capsys.readouterr().out
    assert not (study / "report" / "submission.csv").exists()
    assert list((study / "report" / "retrain").glob("*/best.pt"))
    assert "has no test set" in (study / "report" / "report.html").read_text()


def test_a_wrong_submission_is_not_left_behind(study, monkeypatch):
    def refuse(*_, **__):
        raise ValueError("submission.csv: wrong")

    monkeypatch.setattr("reports.final_model.retrain_and_predict.check_submission", refuse)
    with pytest.raises(ValueError, match="wrong"):
        report(study, "--no-retrain")
    assert not (study / "report" / "submission.csv").exists()


def test_a_test_part_without_labels_is_said(study, monkeypatch, capsys):
    data = read_study(study, None).data
    nothing = np.zeros_like(data.class_pixels(np.arange(len(data.images))))
    monkeypatch.setattr(type(data), "masks", np.zeros_like(data.masks))
    monkeypatch.setattr(type(data), "class_pixels", lambda _, indices: nothing[indices])
    report(study, "--no-submission")
    assert "nan" not in capsys.readouterr().out
    page = (study / "report" / "report.html").read_text()
    assert "<b>none</b>" in page
    assert "Errors are red" not in page


def test_a_file_that_cannot_be_read_or_written_is_named(study):
    best = study / "report" / "leaderboard.csv"
    best.mkdir(parents=True)
    with pytest.raises(
        ValueError, match=r"leaderboard\.csv: cannot be used \(Is a directory\); give another folder with --output$"
    ):
        report(study, "--no-submission")


def test_a_missing_checkpoint_is_named(study):
    shutil.rmtree(study / "checkpoints")
    with pytest.raises(ValueError, match=r"checkpoints/000\d: holds no best\.pt"):
        report(study)


@pytest.mark.parametrize("off", ["--no-retrain", "--no-submission"])
@pytest.mark.parametrize("given", [["--check-retrain"], ["--time-budget", "5m"]])
def test_options_about_a_training_that_is_left_out_are_refused(off, given):
    with pytest.raises(ValueError, match=f"{given[0]} needs the final training, which {off} leaves out"):
        check_together(parser().parse_args(["runs/x", off, *given]))


def test_what_the_ignored_class_may_be_is_said_as_it_is(study, capsys):
    report(study, "--no-retrain", "--allow-ignored")
    assert "is never predicted" not in (study / "report" / "report.html").read_text()
    assert "hold background" not in capsys.readouterr().out
    report(study, "--no-retrain")
    assert "and the ignored class is never predicted" in (study / "report" / "report.html").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["gone"], "error: gone: no study there"), ([], "the following arguments are required: RUN")],
)
def test_mistakes_through_the_real_command(arguments, message, tmp_path, logs):
    done = run_script("reports/run.py", arguments, cwd=tmp_path, logs=logs)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_help_needs_no_heavy_import():
    code = (
        "import sys, runpy; sys.argv = ['run.py', '--help']\n"
        "try: runpy.run_path('reports/run.py', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "print('heavy:', {'torch', 'numpy', 'matplotlib', 'optuna', 'rich'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=HANGS_AFTER)
    assert "--no-retrain" in done.stdout
    assert "heavy: set()" in done.stderr


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def in_browser(page, profile):
    """The page's tree after it was rendered, and what the browser logged."""
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files", "--enable-logging=stderr"]
    done = subprocess.run(
        [CHROMIUM, *flags, f"--user-data-dir={profile}", "--dump-dom", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=HANGS_AFTER,
    )
    return done.stdout, done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason="no Chromium is installed")
def test_the_page_in_a_real_browser(study, tmp_path):
    """It renders with its pictures, needs nothing else, complains of nothing, and fits a narrow screen."""
    report(study, "--no-submission")
    probe = tmp_path / "probe.html"
    probe.write_text(
        f"<iframe src='{(study / 'report' / 'report.html').as_uri()}' width=400 height=3000></iframe>"
        "<script>onload = () => { const inside = document.querySelector('iframe').contentWindow;"
        "const [page, images] = [inside.document.documentElement, [...inside.document.images]];"
        "document.title = `wide ${page.scrollWidth} images ${images.filter(i => i.naturalWidth).length} of "
        "${images.length} loaded ${inside.performance.getEntriesByType('resource').filter("
        "entry => !entry.name.startsWith('data:')).length}` }</script>"
    )
    rendered, log = in_browser(probe, tmp_path / "profile")
    found = re.search(r"<title>wide (\d+) images (\d+) of (\d+) loaded (\d+)</title>", rendered)
    assert found, rendered[-2000:] + log[-2000:]
    assert int(found[1]) <= 400
    assert found[2] == found[3] == "1"
    assert found[4] == "0"
    assert "CONSOLE" not in log


def test_what_a_killed_report_left_is_deleted(study):
    left = study / "report" / f"submission.csv.{'0' * 32}"
    left.parent.mkdir()
    left.touch()
    os.utime(left, (0, 0))
    report(study, "--no-submission")
    assert not left.exists()


def test_the_page_is_there_before_the_final_model_and_nothing_costly_is_made_twice(study, capsys, monkeypatch):
    page, made = study / "report" / "report.html", Counter()

    def counted(module, name):
        draw = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *given: made.update([name]) or draw(*given))

    for name in ("score_over_trials", "learning_curves"):
        counted(trial_figures, name)
    for name in ("class_bars", "confusion_matrix", "examples"):
        counted(class_figures, name)
    early = []
    monkeypatch.setattr("reports.command.finish", lambda *given: early.append(page.read_text()) or finish(*given))
    report(study, "--no-retrain")
    assert "Not there yet." in early[0]
    assert "submission.csv:" not in early[0]
    assert "Not there yet." not in page.read_text()
    assert "submission.csv: 70 rows" in page.read_text()
    assert set(made.values()) == {1}
    assert len(made) == 5
    output = capsys.readouterr().out
    assert f"wrote {page}, with all but the final model: it is written again once that is done" in output


FULL = OSError(errno.ENOSPC, "No space left on device")


class FullStream(io.BytesIO):
    def write(self, content):
        raise FULL


def raises_full(*_, **__):
    raise FULL


FULL_FILES = SimpleNamespace(LocalFileSystem=lambda: SimpleNamespace(open_output_stream=lambda path: FullStream()))
FILLED = {
    "leaderboard": ("reports.output.leaderboard_files.csv.write_csv", raises_full, "report"),
    "page": ("pathlib.Path.write_text", raises_full, "report"),
    "checkpoint": ("trainables.training.checkpoint_store.CheckpointStore._write", raises_full, "report/retrain/000"),
    "submission": ("reports.submission_csv.fs", FULL_FILES, "report"),
}


@pytest.mark.parametrize("what", FILLED)
def test_a_full_disk_ends_the_report_with_one_line_and_the_same_command_continues(what, study, monkeypatch, capsys):
    monkeypatch.setattr("trainables.outage_retries.time.sleep", lambda seconds: None)
    arguments = [study] if what == "checkpoint" else [study, "--no-retrain"]
    name, broken, place = FILLED[what]
    with monkeypatch.context() as full:
        full.setattr(name, broken)
        with pytest.raises(ValueError) as raised:
            report(*arguments)
    assert refuse(raised.value) == BROKEN
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert line.startswith(f"error: {study / place}")
    assert "No space left on device; free some space or repair the disk, then run the same command again" in line
    assert "continues after its last finished epoch" in line
    left = [path.name for path in (study / "report").rglob("*") if path.is_file()]
    assert not [name for name in left if is_temporary(name)]
    report(*arguments)
    assert (study / "report" / "submission.csv").exists()


def test_any_trial_with_weights_is_reported_and_exported(study, capsys):
    other = 1 - read_study(study, None).best.number
    report(study, "--trial", other, "--no-retrain")
    output = capsys.readouterr().out
    folder = study / "report" / f"trial-{other:04d}"
    assert {path.name for path in folder.iterdir()} == {*WRITTEN, "predictor.json", "submission.csv", "model"}
    assert f"weights of trial {other:04d}\n" in output
    assert [member.trial for member in load_model(folder, device="cpu").contents.members] == [other]
    assert f"The model of trial {other:04d} on held-out images" in (folder / "report.html").read_text()
    assert not (study / "report" / "model").exists()


@pytest.mark.parametrize(
    ("trial", "message"),
    [
        (77, "has no trial 77; its trials are 0 to 4"),
        (3, "trial 3 has no score; trials with one, the best first: "),
        (2, r"holds no best.pt: a search keeps .* Trials with weights: 0, 1"),
    ],
)
def test_a_trial_that_cannot_be_reported_on_is_refused(trial, message, study):
    with pytest.raises(ValueError, match=message):
        report(study, "--trial", trial, "--no-submission")


def test_the_report_says_first_what_it_will_do(study, capsys):
    report(study, "--no-submission")
    lines = capsys.readouterr().out.splitlines()
    start = lines.index("this report will:")
    assert re.fullmatch(
        r"  choose members, flips and decision with the weights of trials 000\d, 000\d on 2 images, and score on 2: "
        r"about \d+ s",
        lines[start + 1],
    )
    assert lines[start + 2].endswith("report/model")
    assert re.fullmatch(r"  in all about \d+ s, at the speed of the search", lines[start + 3])
    assert lines.index("choosing the predictor on 2 validation images") == start + 4
    assert lines[-1] == f"predict new images:  python reports/predict.py {study / 'report' / 'model'} INPUT -o OUT"


def test_a_class_that_is_never_predicted_is_warned_about(study, capsys, monkeypatch):
    monkeypatch.setattr(Predictor, "labels", lambda self, images: iter([np.full((len(images), 16, 24), 1, np.uint8)]))
    report(study, "--no-submission")
    said = (
        "the final model never predicts bedrock, sand, big rock on the held-out test part: the IoU of such a class is 0"
    )
    assert f"warning: {said}" in capsys.readouterr().out
    assert said in (study / "report" / "report.html").read_text()
    assert said in (study / "report" / "model" / "README.md").read_text()
    report(study, "--no-retrain")
    assert "never predicts bedrock, sand, big rock on the 70 images to predict" in capsys.readouterr().out
    assert "on the 70 images to predict" in (study / "report" / "report.html").read_text()


def test_a_missing_library_for_onnx_is_told_before_anything_starts(study, monkeypatch):
    monkeypatch.setattr("reports.bundle.onnx_file.LIBRARIES", ("onnx", "nowhere_to_be_found"))
    with pytest.raises(
        ValueError, match=r"the ONNX file needs nowhere_to_be_found: .* leave the file out with --no-onnx"
    ):
        report(study, onnx=True)
    assert not (study / "report").exists()
