"""Print what a bug report needs."""

import os
import platform
import sys
from pathlib import Path

from interestlab.config.parser import CommandParser
from interestlab.errors import DataError, PluginError
from interestlab.registry import REGISTRIES, limit_note


def run(args: list[str]) -> None:
    """Print versions, devices, plugins that do not import, and the folders that are written to; or check stores.

    Args:
        args: the options.
    """
    parser = CommandParser("interestlab doctor", description="Print what a bug report needs.")
    parser.add_argument("--store", type=Path | None, help="check every store below this folder against its hashes instead")
    options = parser.parse_args(args)
    if options.store is not None:
        check_stores(options.store)
        return
    import torch

    from interestlab.data.datamodule import resolve_cache_dir
    from interestlab.utils.versions import run_versions

    print(f"platform               {platform.platform()}")
    for name, version in run_versions().items():
        print(f"{name:22} {version}")
    print(f"cpu                    {os.cpu_count()} cores, torch uses {torch.get_num_threads()} threads")
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    print(f"gpu                    {', '.join(gpus) or 'none'} (CUDA {torch.version.cuda or 'not built in'})")
    cache = resolve_cache_dir(None)
    print(f"cache                  {cache} ({'can' if is_writable(cache) else 'CANNOT'} be written)")
    print(f"wandb                  {'key set' if os.environ.get('WANDB_API_KEY') else 'no key in the environment: offline'}")
    broken = 0
    for registry in REGISTRIES.values():
        for name in registry.names():
            try:
                registry.load(name)
            except PluginError as err:
                broken += 1
                print(f"plugin                 {err}")
    if not broken:
        print("plugins                all import")
    if limit := limit_note():
        print(f"plugins                {limit}")


def check_stores(folder: Path) -> None:
    """Compare every file of every store below a folder with its hash.

    Args:
        folder: searched for stores.

    Raises:
        DataError: a store was altered, or there is none.
    """
    from interestlab.utils import artifact_store

    stores = sorted(path.parent for path in folder.rglob(artifact_store.MANIFEST_NAME))
    altered = 0
    for store in stores:
        try:
            artifact_store.check_manifest(store, all_hashes=True)
        except DataError as err:
            altered += 1
            print(f"interestlab: {err}", file=sys.stderr)
    if altered:
        raise DataError(f"{altered} of {len(stores)} stores in {folder} were altered; delete them to build them again.")
    if not stores:
        raise DataError(f"there is no store in {folder}; give the folder of --data.cache_dir.")
    print(f"{len(stores)} stores in {folder}, all as they were written")


def is_writable(folder: Path) -> bool:
    """Return whether a folder, or its nearest existing parent, can be written.

    Args:
        folder: need not exist.
    """
    while not folder.exists():
        folder = folder.parent
    return os.access(folder, os.W_OK)
