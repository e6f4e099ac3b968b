"""Print the results of one revision."""

from typing import Any

from benchmarks.harness.provenance import machine_line
from benchmarks.harness.tables import join_items, make_console, make_table, verdict
from benchmarks.overhead.measure import PADDING_GOAL, RATIO_GOAL


def print_results(results: dict[str, Any]) -> None:
    """Print the results as a table."""
    ratio, speed, batches = results["ratio"], results["targets_per_second"], results["batches"]
    differences, memory = results["loss_difference"], results["peak_memory_mb"]
    padding, start = batches["padding"], results["start_seconds"]
    rows = [
        ["framework / bare", f"{ratio['median']:.3f}", f"median; {ratio['min']:.3f} to {ratio['max']:.3f}"],
        ["", "", verdict(ratio["median"] >= RATIO_GOAL, f"at least {RATIO_GOAL}")],
        ["framework", f"{speed['framework']:,.0f}", "targets per second"],
        ["bare", f"{speed['bare']:,.0f}", "targets per second"],
        ["framework over bare", f"{results['milliseconds_a_step_over_bare']:.2f} ms", "per step"],
        ["assembling", f"{1e3 * batches['assembling_seconds'] / batches['steps']:.2f} ms", "per batch, in both loops"],
        ["loss, step 1", f"{differences['first_step']:.1e}", "relative difference"],
        ["loss, step 2", f"{differences['after_first_update']:.1e}", f"whole epoch: at most {differences['whole_epoch']:.1e}"],
        ["padding", f"{padding:.2%}", verdict(padding < PADDING_GOAL, f"less than {PADDING_GOAL:.0%}")],
        ["padding, worst batch", f"{batches['padding_of_batches']['max']:.2%}", f"of {batches['steps']:,} per epoch"],
        ["cold start", f"{start['cold']:.2f} s", "to the first batch"],
        ["second start", f"{start['second']:.2f} s", "to the first batch"],
        ["peak memory", f"{memory['trained']:,.0f} MiB", f"with both models; {memory['cold_start']:,.0f} before training"],
    ]
    console = make_console()
    console.print(make_table(None, ["measured", "value", ""], rows, text_columns=3))
    console.print(f"{join_items(results['log'])}; {machine_line(results['machine'])}")
