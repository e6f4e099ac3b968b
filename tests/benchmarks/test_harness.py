"""The benchmarks' command lines and the arithmetic that they share."""

import json
import subprocess
import sys

import pytest

from benchmarks import results_table
from benchmarks.amortised_bias.options import parse_options as amortised_bias_options
from benchmarks.drift.options import parse_options as drift_options
from benchmarks.drift_scale.options import parse_options as drift_scale_options
from benchmarks.dynamics.options import parse_options as dynamics_options
from benchmarks.finetuning_cost.options import parse_options as finetuning_options
from benchmarks.harness.memory import process_peak
from benchmarks.harness.processes import ROOT, checkout_environment, run_python
from benchmarks.harness.reference import check_same_losses, relative_differences
from benchmarks.harness.tables import format_number, join_items
from benchmarks.harness.timing import CLOCKS, Stopwatch, alternate, paired_ratios, summarize
from benchmarks.leaderboard.options import parse_options as leaderboard_options
from benchmarks.overhead.options import parse_options as overhead_options
from benchmarks.overhead.revisions import MEASUREMENTS, compare_runs
from benchmarks.pretraining.options import parse_options as pretraining_options
from benchmarks.serving.options import parse_options as serving_options

PARSERS = {
    "overhead": overhead_options,
    "finetuning_cost": finetuning_options,
    "amortised_bias": amortised_bias_options,
    "dynamics": dynamics_options,
    "drift": drift_options,
    "drift_scale": drift_scale_options,
    "pretraining": pretraining_options,
    "leaderboard": leaderboard_options,
    "serving": serving_options,
    "results_table": results_table.parse_options,
}


@pytest.mark.parametrize("name", PARSERS)
def test_every_benchmark_prints_help(name, capsys):
    with pytest.raises(SystemExit) as exit_info:
        PARSERS[name](["--help"])
    assert exit_info.value.code == 0
    help_text = capsys.readouterr().out
    assert help_text.startswith(f"usage: python -m benchmarks.{name}")
    assert f"python -m benchmarks.{name} " in help_text.partition("options:")[2]


def test_every_benchmark_is_listed():
    packages = {file.parent.name for file in (ROOT / "benchmarks").glob("*/__main__.py")}
    assert packages | {"results_table"} == set(PARSERS)


def test_a_package_runs_as_a_module():
    assert run_python(["-m", "benchmarks.drift_scale", "--help"]).startswith("usage: python -m benchmarks.drift_scale")


def test_a_failed_process_stops_the_benchmark():
    with pytest.raises(SystemExit, match="status 3"):
        run_python(["-c", "raise SystemExit(3)"])


def test_processes_import_from_their_checkout(tmp_path):
    (tmp_path / "interestlab").mkdir()
    (tmp_path / "interestlab/__init__.py").touch()
    code = "import interestlab; print(interestlab.__file__)"
    environment = checkout_environment(tmp_path)
    out = subprocess.run([sys.executable, "-P", "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert out.stdout.startswith(str(tmp_path))


def test_ratios_are_computed_per_pair():
    assert paired_ratios([1.0, 3.0], [2.0, 4.0]) == [0.5, 0.75]
    assert summarize([0.5, 0.75, 0.6]) == {"median": 0.6, "min": 0.5, "max": 0.75}
    with pytest.raises(ValueError, match="shorter"):
        paired_ratios([1.0, 2.0], [1.0])


def test_order_alternates_between_rounds():
    assert list(alternate("ab", 3)) == [(0, "b"), (0, "a"), (1, "a"), (1, "b"), (2, "b"), (2, "a")]


@pytest.mark.parametrize("clock", CLOCKS)
def test_a_stopwatch_times_a_call(clock):
    calls = []
    assert Stopwatch(clock).seconds(lambda: calls.append(sum(range(1000)))) > 0
    assert len(calls) == 1


def test_different_losses_stop_the_benchmark():
    assert relative_differences([2.0, 1.0], [1.0, 1.0]) == [1.0, 0.0]
    check_same_losses([1.0 + 1e-6], [1.0], "at step 1")
    with pytest.raises(SystemExit, match=r"at step 1.*1\.1.*1\.0"):
        check_same_losses([1.1], [1.0], "at step 1")
    with pytest.raises(SystemExit, match="2 steps"):
        relative_differences([1.0, 1.0], [1.0])


def test_accuracies_of_the_same_texts_are_compared_text_by_text():
    pytest.importorskip("sklearn")
    from benchmarks.pretraining.measure import paired_difference

    mean, half = paired_difference([[True, True], [True, False]], [[False, True], [True, True]])
    assert mean == 0.0
    assert half == pytest.approx(1.96 * (2 / 3) ** 0.5 / 2)


def test_revisions_are_compared_round_by_round():
    def run(ratio):
        return {
            "ratio": {"median": ratio},
            "targets_per_second": {"framework": 100 * ratio, "bare": 100},
            "milliseconds_a_step_over_bare": 2.0,
            "start_seconds": {"cold": 1.0, "second": 0.1},
            "peak_memory_mb": {"trained": 500},
        }

    comparison = compare_runs([run(0.9), run(0.8)], [run(0.6), run(0.8)])
    assert list(comparison) == list(MEASUREMENTS)
    assert comparison["framework / bare"]["this_over_other"] == {"median": 1.25, "min": 1.0, "max": 1.5}
    assert comparison["bare, targets per second"]["this_over_other"]["median"] == 1.0
    zero = compare_runs([run(0.9)], [run(0.6) | {"milliseconds_a_step_over_bare": 0.0}])
    assert zero["framework over bare, ms per step"]["this_over_other"] is None


def test_comparison_options_are_not_passed_to_the_runs(tmp_path):
    (tmp_path / "benchmarks").mkdir()
    arguments = ["--epochs", "2", "--against", str(tmp_path), "--rounds=4", "--users=30", "--out", "x.json"]
    assert overhead_options(arguments).run_arguments == ["--epochs", "2", "--users=30"]


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("overhead", ["--items", "items.csv"], "--items needs --interactions"),
        ("overhead", ["--epochs=0"], "at least 1"),
        ("overhead", ["--against=nowhere"], "nowhere"),
        ("overhead", ["--against_options=--epochs=2"], "needs --against"),
        ("finetuning_cost", ["--batches=-1"], "at least 0"),
        ("amortised_bias", ["--samples=1"], "at least 2"),
        ("dynamics", ["--threads=2", "--clock=processor"], "one CPU thread"),
        ("dynamics", ["--lengths", "0", "4"], "at least 1"),
        ("drift", ["--users=5"], "at least 30"),
        ("pretraining", ["--reviews=nowhere"], "is no file"),
        ("leaderboard", ["--data=nowhere", "--logs", "taobao"], "nowhere/taobao_userbehavior_head does not exist"),
    ],
)
def test_invalid_options_are_usage_errors(name, arguments, message, capsys):
    with pytest.raises(SystemExit) as exit_info:
        PARSERS[name](arguments)
    assert exit_info.value.code == 2
    assert message in capsys.readouterr().err


def test_numbers_are_formatted():
    assert [format_number(value) for value in (None, 0.01234, 12.34, 1234.5)] == ["–", "0.0123", "12.3", "1,234"]
    assert join_items({"users": 1000, "bar": False, "source": "files"}) == "users 1,000, bar False, source files"
    assert process_peak() > 1


def test_results_table_averages_seeds(tmp_path, capsys):
    for seed, recall in enumerate((0.1, 0.3)):
        run = tmp_path / f"ewma-{seed}"
        run.mkdir()
        metrics = {"fingerprint": {"data": "a", "seed": seed}, "test/recall@10": recall, "test/ndcg@10": 0.1}
        (run / "metrics.json").write_text(json.dumps(metrics))
    runs = [str(run) for run in sorted(tmp_path.iterdir())]
    results_table.main(runs)
    assert "| ewma | 2 | 0.2000 ± " in capsys.readouterr().out
    (tmp_path / "ewma-1/metrics.json").write_text(json.dumps(metrics | {"fingerprint": {"data": "b"}}))
    with pytest.raises(SystemExit, match="cannot be compared"):
        results_table.main(runs)
