"""The two ways to forecast a horizon: all of it at once, or a step after the other."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace

import torch
from torch import Tensor, nn

from steploom.errors import OptionError
from steploom.models.outputs import Output
from steploom.models.recurrent_shape import RecurrentShape
from steploom.models.scaling import Scale
from steploom.models.window import WindowLayout

__all__ = ["AutoregressiveHead", "DirectHead", "Head"]

Batch = dict[str, Tensor]

_VECTOR = 8
_UNKNOWN_SHARE = 0.05


class Head(nn.Module, ABC):
    """One network from a batch of windows to the raw numbers of an output.

    Args:
        shape: the recurrent layers that read the past; its dropout also stands before and in the output layers.
        layout: what the windows hold.
        output: what is forecast.
    """

    def __init__(self, shape: RecurrentShape, layout: WindowLayout, output: Output) -> None:
        super().__init__()
        self.layout, self.output = layout, output
        self.static = nn.ModuleList([nn.Embedding(count + 1, min(_VECTOR, count + 1)) for count in layout.static])
        self.series = nn.Embedding(len(layout.series) + 1, _VECTOR) if layout.vectors else None
        self.fixed_size = sum(e.embedding_dim for e in self._embeddings()) + 2 * layout.level_count + 1
        self.row_size = 2 * layout.lag_count + layout.covariate_count
        self.drop = nn.Dropout(shape.dropout)
        self._make(shape)

    @abstractmethod
    def _make(self, shape: RecurrentShape) -> None: ...

    @abstractmethod
    def raw(self, batch: Batch) -> Tensor:
        """(batch, horizon, output.size). The autoregressive head is shown the true values before each step."""

    def _embeddings(self) -> list[nn.Embedding]:
        return [e for e in (*self.static, self.series) if isinstance(e, nn.Embedding)]

    def fixed(self, batch: Batch) -> Tensor:
        """(batch, fixed_size): what holds for a whole window."""
        parts = [batch["levels"], batch["levels_observed"], batch["level"][:, None]]
        parts += [embed(batch["static"][:, i]) for i, embed in enumerate(self.static)]
        if self.series is not None:
            number = batch["series"]
            if self.training:
                # A series never seen in training has the number 0, whose vector must be learnt as well.
                number = number * (torch.rand(len(number), device=number.device) >= _UNKNOWN_SHARE)
            parts.append(self.series(number))
        return torch.cat(parts, -1)

    def read_out(self, size: int, hidden_size: int, dropout: float) -> nn.Sequential:
        """Two layers to the output's numbers, which start near 0: a forecast begins at the window's mean."""
        last = nn.Linear(hidden_size, self.output.size)
        with torch.no_grad():
            last.weight.mul_(0.1)
            last.bias.zero_()
        return nn.Sequential(nn.Linear(size, hidden_size), nn.SiLU(), nn.Dropout(dropout), last)


class DirectHead(Head):
    """An encoder over the context, both ways where the shape says so, and a decoder over the horizon, always both ways.

    What is known of each future row (the same place in the last seasons, the calendar, known covariates) enters the
    decoder beside the encoder's last output. The horizon is forecast at once, so no error feeds on itself.
    """

    def _make(self, shape: RecurrentShape) -> None:
        layout = self.layout
        self.encoder = shape.layers(2 + self.row_size + self.fixed_size, batch_first=True)
        known = 2 * layout.seasonal_count + layout.covariate_count + 1 + self.fixed_size + self.encoder.output_size
        self.decoder = replace(shape, num_layers=1, bidirectional=True).layers(known, batch_first=True)
        size = self.decoder.output_size + known
        self.output_layers = self.read_out(size, self.encoder.cell.hidden_size, shape.dropout)

    def raw(self, batch: Batch) -> Tensor:
        context, horizon = self.layout.context, self.layout.horizon
        fixed = self.fixed(batch)
        past = [batch["values"][:, :, None], batch["observed"][:, :, None], _until(batch["lags"], context)]
        past += [_until(batch["lags_observed"], context), _until(batch["covariates"], context)]
        y, _ = self.encoder(torch.cat([*past, _repeat(fixed, context)], -1))
        # A direction that reads backwards ends at the first row.
        ends = (y[:, -1, : self.encoder.cell.hidden_size], y[:, 0, self.encoder.cell.hidden_size :])
        summary = _repeat(self.drop(torch.cat(ends, -1)), horizon)
        place = torch.arange(horizon, device=y.device, dtype=y.dtype) / horizon
        known = [batch["seasonal"].to(y), batch["seasonal_observed"].to(y), batch["covariates"][:, context:]]
        known += [place[:, None].expand(len(y), horizon, 1), _repeat(fixed, horizon), summary]
        x = torch.cat(known, -1)
        decoded, _ = self.decoder(x)
        return self.output_layers(torch.cat((self.drop(decoded), x), -1))  # type: ignore[no-any-return]


class AutoregressiveHead(Head):
    """One recurrent network that sees the value before each step and says the next one (Salinas et al. 2020, "DeepAR").

    In training it sees the true values; a forecast is drawn step by step, each drawn value entering the next step.
    """

    def _make(self, shape: RecurrentShape) -> None:
        if shape.bidirectional:
            raise OptionError("bidirectional: the autoregressive head reads in one direction. Take the direct one")
        self.recurrent = shape.layers(2 + self.row_size + self.fixed_size, batch_first=True)
        self.output_layers = self.read_out(self.recurrent.output_size, self.recurrent.cell.hidden_size, shape.dropout)

    def raw(self, batch: Batch) -> Tensor:
        values = torch.cat((batch["values"], batch["target"]), 1)
        observed = torch.cat((batch["observed"], batch["target_observed"]), 1)
        lags, lags_observed = batch["lags"].clone(), batch["lags_observed"].clone()
        context = self.layout.context
        for i, season in enumerate(self.layout.lags):
            if season < self.layout.horizon:
                first = context + season
                lags[:, first:, i] = values[:, context:-season]
                lags_observed[:, first:, i] = observed[:, context:-season]
        rows = _a_row_later(values), _a_row_later(observed)
        return self._run(rows, lags, lags_observed, batch["covariates"], self.fixed(batch), None)[0][:, context:]

    def sample(self, batch: Batch, uniform: Tensor, scale: Scale) -> Tensor:
        """Paths (batch, paths, horizon) of scaled values.

        Args:
            batch: the windows; their targets are not looked at.
            uniform: (paths, horizon) between 0 and 1, the same for every window, so that a window's forecast does not
                depend on those beside it.
            scale: of the windows.
        """
        context, (paths, horizon) = self.layout.context, uniform.shape
        fixed, size = self.fixed(batch), len(batch["values"])
        values, observed = batch["values"], batch["observed"]
        rows = _a_row_later(values), _a_row_later(observed)
        lags, there, covariates = (_until(batch[name], context) for name in ("lags", "lags_observed", "covariates"))
        _, state = self._run(rows, lags, there, covariates, fixed, None)
        state = tuple(s.repeat_interleave(paths, 1) for s in state)
        fixed = fixed.repeat_interleave(paths, 0)
        unit, location, spread = (p.repeat_interleave(paths, 0) for p in (scale.unit, scale.location, scale.spread))
        wide = Scale(unit, location, spread, scale.logarithm)
        last = values[:, -1].repeat_interleave(paths, 0), observed[:, -1].repeat_interleave(paths, 0)
        drawn: list[Tensor] = []
        for step in range(horizon):
            # A row at a time: all rows of all paths are hundreds of times the batch.
            row_of = (batch[n][:, context + step] for n in ("lags", "lags_observed", "covariates"))
            lags, there, covariates = (part.repeat_interleave(paths, 0) for part in row_of)
            for i, season in enumerate(self.layout.lags):
                if step >= season:
                    lags[:, i], there[:, i] = drawn[step - season], 1.0
            row = (last[0][:, None], last[1][:, None])
            raw, state = self._run(row, lags[:, None], there[:, None], covariates[:, None], fixed, state)
            levels = uniform[:, step].repeat(size)[:, None, None]
            value = self.output.at(raw, levels.to(raw), wide)[:, 0, 0]
            drawn.append(value)
            last = value, torch.ones_like(value)
        return torch.stack(drawn, -1).view(size, paths, horizon)

    def _run(
        self,
        before: tuple[Tensor, Tensor],
        lags: Tensor,
        lags_observed: Tensor,
        covariates: Tensor,
        fixed: Tensor,
        state: tuple[Tensor, ...] | None,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The raw numbers (batch, rows, output.size) of rows, and the state behind them.

        Args:
            before: of the row before each (batch, rows), the value and whether it was observed.
            lags, lags_observed, covariates: of the rows themselves.
            fixed: what holds for the window.
            state: behind the rows that were run already; None where there are none.
        """
        values, observed = before
        parts = [values[..., None], observed[..., None], lags, lags_observed, covariates]
        y, state = self.recurrent(torch.cat([*parts, _repeat(fixed, values.shape[1])], -1), state)
        return self.output_layers(self.drop(y)), state


def _a_row_later(values: Tensor) -> Tensor:
    """Beside each row (batch, rows) what stands in the row before; 0 beside the first."""
    return nn.functional.pad(values[:, :-1], (1, 0))


def _until(values: Tensor, count: int) -> Tensor:
    return values[:, :count]


def _repeat(fixed: Tensor, steps: int) -> Tensor:
    return fixed[:, None].expand(-1, steps, -1)
