"""``interestlab doctor``: what a bug report needs."""

import argparse
import os
import platform
from pathlib import Path

from interestlab.registry import REGISTRIES, PluginError, limit_note


def run(args: list[str]) -> None:
    """Print versions, devices, plugins that do not import, and the places that are written to."""
    argparse.ArgumentParser("interestlab doctor", description="Print what a bug report needs.").parse_args(args[1:])
    import torch

    from interestlab.cli.run_folder import versions
    from interestlab.data.module import cache_folder

    print(f"platform            {platform.platform()}")
    for name, version in versions().items():
        print(f"{name:19} {version}")
    print(f"cpu                 {os.cpu_count()} cores, torch uses {torch.get_num_threads()} threads")
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    print(f"gpu                 {', '.join(gpus) or 'none'} (CUDA {torch.version.cuda or 'not built in'})")
    cache = cache_folder(None)
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


def writable(folder: Path) -> bool:
    """Whether a folder, or the nearest one above it that is there, can be written."""
    while not folder.exists():
        folder = folder.parent
    return os.access(folder, os.W_OK)
