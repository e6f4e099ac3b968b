"""The checks of :class:`interestlab.contract.Encoder`."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from interestlab.batch import Inputs
from interestlab.contract import Encoder
from interestlab.testing._checks import DIM, ContractError, require, require_equal
from interestlab.testing._data import TEXTS, pad_rows
from interestlab.testing._part import PartChecks


class EncoderChecks(PartChecks[Encoder]):
    """An encoder under test.

    Stability: provisional.

    Args:
        plugin: the class.
        init_args: arguments of its constructor.
        values: five values for ``preprocess``, one of them empty; default: plain texts.
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

    def build(self, part: Encoder) -> Encoder:
        part.build(dict.fromkeys(part.fields, 11), DIM)
        return part

    def example(self, part: Encoder, rows: int = 4) -> tuple[Inputs]:
        if part.preprocess_key is None:
            return (Inputs(torch.tensor([3, 0, 10, 7, 1][:rows])),)
        return (pad_rows(part.preprocess(self.values[:rows])),)

    def shape(self, part: Encoder, example: tuple[Any, ...]) -> tuple[int, ...]:
        return len(example[0].values), part.out_dim

    def check_fields(self) -> None:
        """``fields`` is a list of ``item.COLUMN`` or ``event.COLUMN``; + joins only columns of the same side."""
        fields = self.construct().fields
        require(not isinstance(fields, str), f"fields is a string, {fields!r}; it must be a list")
        require(len(fields) > 0, "fields is empty; name at least one")
        for field in fields:
            sides = {side for side in ("item", "event") if field.startswith(f"{side}.")}
            require(len(sides) == 1, f"field {field!r} must start with item. or event.")
            (side,) = sides
            for part in field.split("+"):
                require(bool(re.fullmatch(rf"{side}\.\w+", part)), f"field {field!r}: {part!r} must be {side}.COLUMN")

    def check_out_dim(self) -> None:
        """``out_dim`` is a positive int after ``build``."""
        out_dim = getattr(self.fresh(), "out_dim", None)
        require(type(out_dim) is int and out_dim > 0, f"out_dim is {out_dim!r}; it must be a positive int")

    def check_frozen_trunk(self) -> None:
        """``forward_from_trunk`` after ``frozen_trunk`` equals ``forward``, and training does not affect the trunk."""
        part = self.perturbed()
        trunk = part.frozen_trunk()
        if trunk is None:
            return
        require(part.preprocess_key is not None, "an encoder over indices cannot have a frozen trunk; set preprocess_key")
        (inputs,) = self.example(part)
        assert inputs.lengths is not None
        rows = trunk.forward(inputs)
        lengths = inputs.lengths if trunk.rows_per_value is None else torch.full_like(inputs.lengths, trunk.rows_per_value)
        equal = rows.lengths is not None and torch.equal(rows.lengths, lengths)
        require(equal, f"the trunk returns lengths {rows.lengths}; they must be {lengths}")
        expected = (len(lengths), int(lengths.max()), *trunk.row_shape)
        require(
            tuple(rows.values.shape) == expected,
            f"the trunk returns shape {list(rows.values.shape)}; it must be {list(expected)}",
        )
        require(not rows.values.requires_grad, "the output of the trunk requires grad; compute it under torch.no_grad()")
        cached = Inputs(torch.zeros_like(rows.values), lengths)  # as read from the cache
        cached.values[rows.mask] = rows.values[rows.mask]
        require_equal(
            part.forward_from_trunk(cached),
            self.out(part, (inputs,)),
            "forward_from_trunk after frozen_trunk differs from forward",
        )
        part.train()
        with torch.no_grad():
            for parameter in part.parameters():
                if parameter.requires_grad:
                    parameter.add_(torch.randn_like(parameter))
        trained = part.frozen_trunk()
        if trained is None or trained.key != trunk.key:
            raise ContractError("the key of the trunk changes with the trained parameters")
        after = trained.forward(inputs).values
        require_equal(
            after[rows.mask], cached.values[rows.mask], "the trunk depends on the training mode or on trained parameters"
        )

    def check_preprocess(self) -> None:
        """``preprocess`` is deterministic and returns one array per value, all with the same dtype."""
        part = self.fresh()
        if part.preprocess_key is None:
            return
        rows = part.preprocess(self.values)
        require(
            len(rows) == len(self.values),
            f"preprocess returns {len(rows)} arrays for {len(self.values)} values; it must return one per value",
        )
        require(any(map(len, rows)), "preprocess returns an empty array for every value; pass `values` that it can read")
        kinds = {(row.dtype, row.shape[1:]) for row in rows}
        require(len(kinds) == 1, f"the arrays of preprocess have different dtypes or shapes: {kinds}")
        again = part.preprocess(self.values)
        for value, row, second in zip(self.values, rows, again, strict=True):
            for other, when in (
                (second, "when called again"),
                (part.preprocess([value])[0], "when called with this value only"),
            ):
                equal = row.dtype == other.dtype and row.shape == other.shape and bool((row == other).all())
                require(equal, f"preprocess gives another result for {value[:30]!r} {when}")

    def check_empty_text(self) -> None:
        """The vector of an empty text is finite."""
        part = self.perturbed()
        if part.preprocess_key is None:
            return
        if "" not in self.values:
            raise ContractError("`values` contains no empty text; add one")
        self.out(part, (pad_rows(part.preprocess([""])),))

    def check_padding(self) -> None:
        """Additional padding on the right has no effect."""
        part = self.perturbed()
        (inputs,) = self.example(part)
        if inputs.lengths is None:
            return
        more = inputs.values.new_zeros(len(inputs.values), 5, *inputs.values.shape[2:])
        longer = Inputs(torch.cat([inputs.values, more], 1), inputs.lengths)
        require_equal(self.out(part, (longer,)), self.out(part, (inputs,)), "the vectors depend on the padding")
