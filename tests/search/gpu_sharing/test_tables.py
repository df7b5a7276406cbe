from __future__ import annotations

from rich.console import Console

from search.gpu_sharing.probe_plan import probe_plan
from search.gpu_sharing.probing import Probed
from search.gpu_sharing.tables import show_probe_plan, show_probed
from search.study.gpu_share import Placement
from tests.made.studies import study_settings
from trainables.data import DataSource, prepare
from trainables.profiling.probe import Device, Measured


def test_what_was_measured_and_why_it_means_so_many_trials(capsys):
    data = prepare(DataSource(uri="sample"))
    found = probe_plan(study_settings(), data)
    measured = Measured(micro_batches=2, memory=3 * 2**29, images_per_second=1234.5)
    probed = Probed(
        device=Device(name="NVIDIA T4", memory=16 * 2**30),
        alone=((found.ladder[0], measured), (found.ladder[-1], None)),
        shared=found.middle,
        rates={1: 100.0, 2: 190.0, 4: 195.0},
        placement=Placement(
            trials_per_gpu=2, device="NVIDIA T4", reason="4 change the total images/s by +3%", too_large=9
        ),
    )
    console = Console(width=160)
    show_probe_plan(console, found, data)
    show_probed(console, probed, data)
    output = capsys.readouterr().out
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in output.splitlines() if "│" in line]
    assert sorted(row[0] for row in rows if row[0] in ("+ depth 4", "+ width 16")) == ["+ depth 4", "+ width 16"]
    assert "alone on NVIDIA T4, 16.0 GiB" in output
    assert any(row[2:] == ["2", "1.50", "1,234"] for row in rows)
    assert any(row[2:] == ["-", "does not fit", "-"] for row in rows)
    assert "concurrent trials: middle" in output
    assert ["2", "190", "1.90"] in rows
    assert "2 trials per GPU (NVIDIA T4): 4 change the total images/s by +3%" in output
    assert "the search does not propose configurations as large as" in output
