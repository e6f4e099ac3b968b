"""The interface of a section: one analysis of the drift report, declared in one file of :mod:`interestlab.drift.sections`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import polars as pl

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.figure import Figure

    from interestlab.drift.context import Context
    from interestlab.drift.report.tables import ReportTables

TEXT, INTEGER, NUMBER, FLAG = pl.String(), pl.Int64(), pl.Float64(), pl.Boolean()
TIME = pl.Datetime("us", "UTC")
TEXTS, NUMBERS = pl.List(pl.String()), pl.List(pl.Float64())


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        dtype: type in Polars.
        meaning: what a value is, for the documentation; no full stop.
    """

    dtype: pl.DataType
    meaning: str


@dataclass(frozen=True)
class Table:
    """The schema of a table that a section computes.

    Attributes:
        row: what one row represents, such as ``one user``.
        columns: columns by name, in the order of the table.
        csv: whether the table is also written as CSV.
    """

    row: str
    columns: Mapping[str, Column]
    csv: bool = False

    @property
    def schema(self) -> pl.Schema:
        """Column types by name."""
        return pl.Schema({name: column.dtype for name, column in self.columns.items()})


class Section:
    """One analysis: its tables, how they are computed, and how the report shows and the documentation explains them.

    Subclass it in a module of :mod:`interestlab.drift.sections` and assign an instance to ``section`` there. Import plotly and
    matplotlib only inside :meth:`figures` and :meth:`images`: the tables are also computed where neither is installed.

    Attributes:
        name: identifier, and anchor on the page.
        title: heading on the page; empty for a section without a part of the page.
        label: entry in the page's contents; the title by default.
        order: position on the page and in the documentation, ascending.
        after: names of sections that are computed before this one, whose tables :meth:`compute` reads.
        tables: schemas by file name without its ending.
        optional: whether a folder may lack the tables.
        template: Jinja fragment below the heading. Its variables are those of :meth:`variables`, and ``meta``, ``level``,
            ``counts``, ``formats``, ``labels``, ``figures``, ``images`` and the macros of ``report/macros.html.j2``.
        docs: paragraph of the documentation, in Markdown.
    """

    name: ClassVar[str]
    title: ClassVar[str] = ""
    label: ClassVar[str] = ""
    order: ClassVar[float] = 100
    after: ClassVar[Sequence[str]] = ()
    tables: ClassVar[Mapping[str, Table]] = {}
    optional: ClassVar[bool] = False
    template: ClassVar[str] = ""
    docs: ClassVar[str]

    def applies(self, context: "Context") -> bool:
        """Return whether there is anything to compute.

        Args:
            context: the analysis.
        """
        return True

    def compute(self, context: "Context") -> dict[str, pl.DataFrame]:
        """Compute the section's tables.

        Args:
            context: log, interests, settings, random generators and the tables of earlier sections.

        Returns:
            Frames by the names of :attr:`tables`.
        """
        raise NotImplementedError

    def restrict(self, name: str, table: pl.DataFrame, users: pl.DataFrame) -> pl.DataFrame:
        """Remove the rows of users whose evidence is insufficient, so that the report cannot show their numbers.

        Args:
            name: name of the table.
            table: the computed table.
            users: rows of the table of users that may be shown.

        Returns:
            By default the rows whose ``user_id`` is among them; all rows of a table without that column.
        """
        if "user_id" not in table.columns:
            return table
        return table.join(users, on="user_id", how="semi", maintain_order="left")

    def is_shown(self, report: "ReportTables") -> bool:
        """Return whether the page has a part for this section.

        Args:
            report: tables that may be shown.

        Returns:
            By default whether the section has a title and all its tables exist.
        """
        return bool(self.title) and all(name in report for name in self.tables)

    def figures(self, report: "ReportTables") -> "dict[str, go.Figure | None]":
        """Draw the interactive figures.

        Args:
            report: tables that may be shown.

        Returns:
            Figures by name; None if there is nothing to draw.
        """
        return {}

    def images(self, report: "ReportTables") -> "dict[str, Figure | None]":
        """Draw the figures for PNGs.

        Args:
            report: tables that may be shown.

        Returns:
            Figures by file name without its ending; None if there is nothing to draw.
        """
        return {}

    def variables(self, report: "ReportTables") -> dict[str, Any]:
        """Return the template's own variables.

        Args:
            report: tables that may be shown.
        """
        return {}
