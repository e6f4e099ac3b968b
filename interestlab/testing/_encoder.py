"""The promises of :class:`interestlab.contract.Encoder`."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from interestlab.batch import Inputs
from interestlab.contract import Encoder
from interestlab.testing._checks import DIM, ContractError, require, same
from interestlab.testing._data import TEXTS, pad_rows
from interestlab.testing._part import PartChecks

GROUPS = {"pretrained", "peft"}


class EncoderChecks(PartChecks[Encoder]):
    """An encoder under test.

    Stability: provisional.

    Args:
        plugin: the class.
        init_args: arguments that its constructor needs.
        values: five values to prepare, an empty one among them, where it does not read plain words.
    """

    kind = Encoder

    def __init__(
        self,
        plugin: type[Encoder],
        init_args: Mapping[str, Any] | None = None,
        values: Sequence[str] = TEXTS,
    ) -> None:
        super().__init__(plugin, init_args)
        self.values = list(values)

    def built(self, part: Encoder) -> Encoder:
        part.build(dict.fromkeys(part.fields, 11), DIM)
        return part

    def example(self, part: Encoder, rows: int = 4) -> tuple[Inputs]:
        if part.preprocess_key is None:
            return (Inputs(torch.tensor([3, 0, 10, 7, 1][:rows])),)
        return (pad_rows(part.preprocess(self.values[:rows])),)

    def shape(self, part: Encoder, example: tuple[Any, ...]) -> tuple[int, ...]:
        return len(example[0].values), part.out_dim

    def check_fields(self) -> None:
        """Its fields are a list of ``item.COLUMN`` or ``event.COLUMN``, joined by + within one side only."""
        fields = self.construct().fields
        require(not isinstance(fields, str), f"fields is a string, {fields!r}; it should be a list")
        require(len(fields) > 0, "fields is empty")
        for field in fields:
            sides = {side for side in ("item", "event") if field.startswith(f"{side}.")}
            require(len(sides) == 1, f"field {field!r} starts with neither item. nor event.")
            (side,) = sides
            for part in field.split("+"):
                require(bool(re.fullmatch(rf"{side}\.\w+", part)), f"field {field!r}: {part!r} is no {side}.COLUMN")

    def check_out_dim(self) -> None:
        """``out_dim`` is a positive int once it is built."""
        out_dim = getattr(self.fresh(), "out_dim", None)
        require(type(out_dim) is int and out_dim > 0, f"out_dim is {out_dim!r}")

    def check_groups(self) -> None:
        """Every parameter of ``parameter_groups`` is its own, and none stands in two groups."""
        part = self.fresh()
        own = {id(p) for p in part.parameters()}
        groups = {name: [id(p) for p in params] for name, params in part.parameter_groups().items()}
        require(set(groups) <= GROUPS, f"the groups are called {', '.join(groups)}; they can be {', '.join(sorted(GROUPS))}")
        grouped = [i for group in groups.values() for i in group]
        require(set(grouped) <= own, "a group holds a parameter that is not among its own, and would not be saved or moved")
        require(len(set(grouped)) == len(grouped), "a parameter stands in two groups, or twice in one")

    def check_frozen_trunk(self) -> None:
        """``forward_from_trunk`` of what ``frozen_trunk`` gives is ``forward``; training neither reaches nor alters it."""
        part = self.moved()
        trunk = part.frozen_trunk()
        if trunk is None:
            return
        require(part.preprocess_key is not None, "it reads indices, of which no trunk is kept")
        (inputs,) = self.example(part)
        assert inputs.lengths is not None
        rows = trunk.forward(inputs)
        lengths = inputs.lengths if trunk.rows_per_value is None else torch.full_like(inputs.lengths, trunk.rows_per_value)
        equal = rows.lengths is not None and torch.equal(rows.lengths, lengths)
        require(equal, f"the trunk gives {rows.lengths} rows where {lengths} are due")
        expected = (len(lengths), int(lengths.max()), *trunk.row_shape)
        require(tuple(rows.values.shape) == expected, f"the trunk gives {list(rows.values.shape)}, not {list(expected)}")
        require(not rows.values.requires_grad, "the trunk holds a graph, by which training would reach it")
        kept = Inputs(torch.zeros_like(rows.values), lengths)  # as they come from the disk
        kept.values[rows.mask] = rows.values[rows.mask]
        same(
            part.forward_from_trunk(kept),
            self.out(part, (inputs,)),
            "forward_from_trunk of what frozen_trunk gives is not forward",
        )
        part.train()
        with torch.no_grad():
            for parameter in part.parameters():
                if parameter.requires_grad:
                    parameter.add_(torch.randn_like(parameter))
        trained = part.frozen_trunk()
        if trained is None or trained.key != trunk.key:
            raise ContractError("the trunk has another key after training")
        found = trained.forward(inputs).values
        same(found[rows.mask], kept.values[rows.mask], "the trunk differs in training, or by what is trained")

    def check_preprocess(self) -> None:
        """``preprocess`` gives one array a value, of one type, the same each time and in any company, and finds something."""
        part = self.fresh()
        if part.preprocess_key is None:
            return
        rows = part.preprocess(self.values)
        require(len(rows) == len(self.values), f"{len(self.values)} values are prepared as {len(rows)} arrays")
        require(any(map(len, rows)), "preprocess finds nothing in any of the values; give `values` that it reads")
        kinds = {(row.dtype, row.shape[1:]) for row in rows}
        require(len(kinds) == 1, f"prepared arrays are of several types: {kinds}")
        again = part.preprocess(self.values)
        for value, row, second in zip(self.values, rows, again, strict=True):
            for other, when in ((second, "a second time"), (part.preprocess([value])[0], "alone")):
                equal = row.dtype == other.dtype and row.shape == other.shape and bool((row == other).all())
                require(equal, f"{value[:30]!r} is prepared otherwise {when}")

    def check_empty(self) -> None:
        """An empty text has a finite vector."""
        part = self.moved()
        if part.preprocess_key is None:
            return
        if "" not in self.values:
            raise ContractError("no empty value is among the values to prepare")
        self.out(part, (pad_rows(part.preprocess([""])),))

    def check_padding(self) -> None:
        """More padding on the right changes nothing."""
        part = self.moved()
        (inputs,) = self.example(part)
        if inputs.lengths is None:
            return
        more = inputs.values.new_zeros(len(inputs.values), 5, *inputs.values.shape[2:])
        longer = Inputs(torch.cat([inputs.values, more], 1), inputs.lengths)
        same(self.out(part, (longer,)), self.out(part, (inputs,)), "the padding changes the vectors")
