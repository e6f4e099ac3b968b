"""Model: what a trained model itself implies about each user's change, on its own trajectory."""

from typing import Any

import polars as pl

from interestlab.drift.context import Context
from interestlab.drift.model.table import model_view
from interestlab.drift.report.tables import ReportTables
from interestlab.drift.section import NUMBER, TEXT, Column, Section, Table

SHOWN_USERS = 20
"""Users shown on the page: those that the model moves most."""


class Model(Section):
    """Drift on the trajectory of a run's model, next to the results from counts."""

    name = "model"
    title = "The model's view"
    label = "Model"
    order = 80
    after = ("users",)
    optional = True
    tables = {
        "model": Table(
            "user with a verdict",
            {
                "user_id": Column(TEXT, "id of the user"),
                "tv": Column(
                    NUMBER, "total variation of the shares that the model implies, between the ends of the two windows"
                ),
                "js": Column(NUMBER, "their Jensen–Shannon divergence, bits"),
                "migration": Column(NUMBER, "length of M of the implied shares and centroids"),
                "evolution": Column(NUMBER, "length of E"),
                "source": Column(TEXT, "interest with the largest fall"),
                "destination": Column(TEXT, "interest with the largest rise"),
                "velocity": Column(NUMBER, "median change of `z_t` per event"),
                "velocity_per_day": Column(NUMBER, "median change of `z_t` per day"),
                "last_tv": Column(
                    NUMBER, "total variation caused by the last five events; null for users with no more than five"
                ),
                "last_source": Column(TEXT, "interest whose implied share fell most by them"),
                "last_destination": Column(TEXT, "interest whose implied share rose most"),
            },
        )
    }
    docs = """
Only of a run. A trained dynamics has its own estimate of a user's interest after each event, `z_t`.
`interestlab.inference.trajectory` computes all of them, as an evaluation would; `interestlab.drift.model.implied` turns them into
shares, the probability that the model assigns to the items of each interest. The table compares the end of the first window with
the end of the second. It has no p-values: a model that has learnt to move moves for every user.
"""
    template = """
<p>The shares of interests that <b>{{ meta.model }}</b> implies for a user, at the end of the first window and of the second. They
have no p-value: a model that has learnt to move moves for every user. The counted shares are shown for comparison.</p>
<div class="scroll tall" tabindex="0" role="region" aria-label="The model's view">
<table class="sortable">
<caption>The {{ model | length }} users whom the model moves most.</caption>
{{ heads("user", "from → to, by the model", "#total variation", "#counted", "verdict", "#migration q", "the last five events",
"#total variation") }}
<tbody>
{% for u in model %}
<tr><th scope="row">{{ u.user_id }}</th><td class="name">{{ labels.transition(u.source, u.destination) }}</td>
{{ num(u.tv, formats.decimal(u.tv)) }}
{{ num(u.counted_tv, formats.decimal(u.counted_tv)) }}
<td class="nowrap">{{ u.verdict }}<small>{{ labels.plural(u.events, "event") }}</small></td>
{{ num(u.q_migration, formats.p_value(u.q_migration)) }}
<td class="name">{{ labels.transition(u.last_source, u.last_destination) }}</td>
{{ num(u.last_tv, formats.decimal(u.last_tv)) }}</tr>
{% endfor %}
</tbody>
</table>
</div>
"""

    def applies(self, context: Context) -> bool:
        return context.model is not None

    def compute(self, context: Context) -> dict[str, pl.DataFrame]:
        assert context.model is not None
        return {"model": model_view(context.model, context.shares, context.answered)}

    def is_shown(self, report: ReportTables) -> bool:
        return super().is_shown(report) and not report["model"].is_empty()

    def variables(self, report: ReportTables) -> dict[str, Any]:
        counted = report["users"].select("user_id", "verdict", "events", "q_migration", counted_tv="tv")
        both = report["model"].join(counted, on="user_id", maintain_order="left")
        return {"model": both.sort("tv", "user_id", descending=[True, False]).head(SHOWN_USERS).to_dicts()}


section = Model()
