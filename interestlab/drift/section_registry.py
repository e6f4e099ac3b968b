"""Find the sections: every module of :mod:`interestlab.drift.sections` declares one."""

import importlib
import pkgutil
from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter

import polars as pl

from interestlab.drift import sections as package
from interestlab.drift.section import Section
from interestlab.errors import PluginError

TYPE_NAMES = {"String": "text", "Int64": "integer", "Float64": "number", "Boolean": "true or false", "Datetime": "time, UTC"}


def load_sections() -> list[Section]:
    """Import every module of the package ``interestlab.drift.sections`` and collect what it declares.

    Returns:
        Sections in the order of the page.

    Raises:
        PluginError: a module declares no section, or two sections share a name or a table.
    """
    found: list[Section] = []
    for module in pkgutil.iter_modules(package.__path__):
        declared = getattr(importlib.import_module(f"{package.__name__}.{module.name}"), "section", None)
        if not isinstance(declared, Section):
            raise PluginError(f"drift/sections/{module.name}.py declares no section; assign `section = YourSection()`.")
        found.append(declared)
    for kind, names in (("name", [s.name for s in found]), ("table", [table for s in found for table in s.tables])):
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise PluginError(f"two drift sections declare the {kind} {', '.join(twice)}; rename one.")
    return sorted(found, key=lambda section: (section.order, section.name))


def order_by_dependency(sections: Sequence[Section]) -> list[Section]:
    """Sort sections so that each is computed after those whose tables it reads.

    Args:
        sections: in the order of the page; a section in ``after`` that is not among them is ignored.

    Returns:
        Sections in the order of computation.

    Raises:
        PluginError: sections wait for each other.
    """
    by_name = {section.name: section for section in sections}
    graph = {name: [other for other in section.after if other in by_name] for name, section in by_name.items()}
    try:
        return [by_name[name] for name in TopologicalSorter(graph).static_order()]
    except CycleError as err:
        raise PluginError(f"drift sections wait for each other: {' -> '.join(err.args[1])}; change their `after`.") from err


def document_sections(sections: Sequence[Section]) -> str:
    """Write the documentation of the sections.

    Args:
        sections: in the order of the page.

    Returns:
        Markdown: for each section its paragraph, and the columns of its tables.
    """
    parts = []
    for section in sections:
        parts.append(f"### {section.title or section.name.capitalize()}\n\n{section.docs.strip()}")
        for name, table in section.tables.items():
            files = f"`{name}.parquet`" + (f" and `{name}.csv`" if table.csv else "")
            rows = [f"| `{column}` | {_type_name(dtype)} | {meaning} |" for column, (dtype, meaning) in table.columns.items()]
            heading = [f"{files}, one row per {table.row}:", "", "| column | type | meaning |", "| --- | --- | --- |"]
            parts.append("\n".join([*heading, *rows]))
    return "\n\n".join(parts) + "\n"


def _type_name(dtype: pl.DataType) -> str:
    if isinstance(dtype, pl.List):
        return f"list of {_type_name(pl.DataFrame(schema={'inner': dtype.inner}).dtypes[0])}"
    return TYPE_NAMES[str(dtype).partition("(")[0]]
