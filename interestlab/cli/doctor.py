"""``interestlab doctor``: what a bug report needs."""

import argparse
import os
import platform
import sys
from pathlib import Path

from interestlab.errors import PluginError
from interestlab.registry import REGISTRIES, limit_note


def run(args: list[str]) -> None:
    """Print versions, devices, plugins that do not import, and the places that are written to; or hash a store."""
    parser = argparse.ArgumentParser("interestlab doctor", description="Print what a bug report needs.")
    parser.add_argument(
        "--store", type=Path, metavar="DIR", help="compare every store in DIR with the hashes of what was built"
    )
    options = parser.parse_args(args[1:])
    if options.store is not None:
        stores(options.store)
        return
    import torch

    from interestlab.data.datamodule import resolve_cache_dir
    from interestlab.utils.versions import run_versions

    print(f"platform            {platform.platform()}")
    for name, version in run_versions().items():
        print(f"{name:19} {version}")
    print(f"cpu                 {os.cpu_count()} cores, torch uses {torch.get_num_threads()} threads")
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    print(f"gpu                 {', '.join(gpus) or 'none'} (CUDA {torch.version.cuda or 'not built in'})")
    cache = resolve_cache_dir(None)
    print(f"cache               {cache} ({'can' if writable(cache) else 'CANNOT'} be written)")
    print(f"wandb               {'key set' if os.environ.get('WANDB_API_KEY') else 'no key in the environment: offline'}")
    broken = 0
    for registry in REGISTRIES.values():
        for name in registry.names():
            try:
                registry.load(name)
            except PluginError as err:
                broken += 1
                print(f"plugin              {err}")
    if not broken:
        print("plugins             all import")
    if limit := limit_note():
        print(f"plugins             {limit}")


def stores(folder: Path) -> None:
    """Compare every file of every store in a folder with its hash.

    Raises:
        SystemExit: 2, after a line for each store that is not as it was written.
    """
    from interestlab.errors import DataError
    from interestlab.utils import artifact_store

    found = sorted(path.parent for path in folder.rglob(artifact_store.MANIFEST_NAME))
    wrong = 0
    for one in found:
        try:
            artifact_store.check_manifest(one, all_hashes=True)
        except DataError as err:
            wrong += 1
            print(f"interestlab: {err}", file=sys.stderr)
    print(f"{len(found)} stores in {folder}, {wrong} not as they were written")
    if wrong or not found:
        raise SystemExit(2)


def writable(folder: Path) -> bool:
    """Whether a folder, or the nearest one above it that is there, can be written."""
    while not folder.exists():
        folder = folder.parent
    return os.access(folder, os.W_OK)
