"""What users write in a step becomes a program that says the same."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from steploom.cells.cell import Cell
from steploom.errors import UnsupportedOperation
from steploom.program.interpret import run_program
from steploom.program.prologue import gather_leaves
from steploom.program.trace import trace
from tests.program.plans import compare
from tests.program.step import Step, step_cell


def put_into_slot(slots: torch.Tensor, number: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
    slots.scatter_(1, number[:, None].expand(-1, 1, new.shape[-1]), new)
    return slots


def written_part(out, h, end):
    out[:, :end] = h[:, :end]
    return out


def filled(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Whole numbers, in some of which others are written."""
    k = a.long()
    k[:, :2] = b[:, :2].long()
    return k.copy_(torch.where(k > 2, k, b.long()))


STEPS = {
    "cat": lambda s, x, h, c: (s.joined(torch.cat([x, h], -1)), c),
    "cat of three": lambda s, x, h, c: (
        torch.cat([h, x, h], 1) @ torch.cat([s.square.weight, s.joined.weight], 1).T,
        c,
    ),
    "gates": lambda s, x, h, c: (s.input(x) + s.recurrent(h)).chunk(4, -1)[:2],
    "split": lambda s, x, h, c: (s.input(x) + s.recurrent(h)).split([8, 16, 8], 1)[::2],
    "indexing": lambda s, x, h, c: (s.input(x)[:, 8:16] + s.recurrent(h)[..., -8:], s.recurrent(c)[:, ::4]),
    "layer norm": lambda s, x, h, c: (s.norm(s.joined(torch.cat([x, h], -1))), s.norm(c)),
    "layer norm of gates": lambda s, x, h, c: (s.wide_norm(s.input(x)) + s.wide_norm(s.recurrent(h))).chunk(4, -1)[:2],
    "layer norm of heads": lambda s, x, h, c: (F.layer_norm(h.view(-1, 2, 4), (4,)).flatten(1) * s.vector, c),
    "group norm": lambda s, x, h, c: (s.group_norm(h + c), c),
    "batch norm of an evaluation": lambda s, x, h, c: (
        s.batch_norm(h),
        F.batch_norm(c, s.batch_norm.running_mean, s.batch_norm.running_var, eps=0.1),
    ),
    "convolution": lambda s, x, h, c: (
        F.conv1d(h[:, None], s.heads[:1, :1, :3], s.scalar.view(1), padding=1)[:, 0],
        F.conv2d(c.view(-1, 2, 2, 2), s.heads.view(4, 2, 2, 2), s.vector[:4], padding=1).flatten(1)[:, :8],
    ),
    "convolution a channel": lambda s, x, h, c: (
        F.conv1d(torch.stack([h, c], -1), s.heads.view(-1, 1, 2)[:8], s.vector, groups=8)[..., 0],
        F.conv_transpose1d(c.view(-1, 2, 4), s.heads[:, :, :3], stride=2).flatten(1)[:, :8],
    ),
    "rms norm": lambda s, x, h, c: (F.rms_norm(h, (8,), s.vector, 1e-6), F.rms_norm(c, (8,), eps=1e-6)),
    "rms by hand": lambda s, x, h, c: (h / (h.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt(), c),
    "a cell of torch.nn": lambda s, x, h, c: s.lstm(x, (h, c)),
    "another cell of torch.nn": lambda s, x, h, c: (s.gru(x, h), c),
    "softmax": lambda s, x, h, c: (h.softmax(-1) * c, F.log_softmax(c, -1)),
    "softmax of heads": lambda s, x, h, c: (
        h.view(-1, 2, 4).softmax(-1).flatten(1),
        c.view(-1, 2, 4).softmax(1).flatten(1),
    ),
    "cumulative sum": lambda s, x, h, c: (h.softmax(-1).cumsum(-1) * c, c),
    "einsum heads": lambda s, x, h, c: (torch.einsum("bhd,hed->bhe", h.view(-1, 2, 4), s.heads).reshape(-1, 8), c),
    "einsum heads turned": lambda s, x, h, c: (torch.einsum("bhd,hde->bhe", h.view(-1, 2, 4), s.heads).flatten(1), c),
    "bmm heads": lambda s, x, h, c: (
        torch.bmm(h.view(-1, 2, 4).transpose(0, 1), s.heads).transpose(0, 1).reshape(h.shape[0], 8),
        c,
    ),
    "baddbmm": lambda s, x, h, c: (torch.baddbmm(c[None], h[None], s.square.weight[None], alpha=0.5)[0], c),
    "matmul heads": lambda s, x, h, c: (torch.matmul(h.unflatten(-1, (2, 4)).unsqueeze(-2), s.heads).flatten(1), c),
    "one matrix for all heads": lambda s, x, h, c: (F.linear(h.view(-1, 2, 4), s.heads[0]).flatten(1), c),
    "where": lambda s, x, h, c: (torch.where(h > c, h, 0.5 * c), torch.where(s.mask, h, c)),
    "where and numbers": lambda s, x, h, c: (torch.where(h > 0, h, 0.0), torch.where(c < 0.1, 1.0, c)),
    "truth": lambda s, x, h, c: (h * ((h > 0) & (c > 0)), c.masked_fill((h < 0) | ~(c > 1), 0.0) + (h > c).to(h.dtype)),
    "clamp": lambda s, x, h, c: (h.clamp(-0.5, 0.5), c.clamp(min=0.1) + c.clamp(max=h)),
    "extremes": lambda s, x, h, c: (torch.maximum(h, c), torch.minimum(c, x[:, :1])),
    "arithmetic": lambda s, x, h, c: (1 - h + 2 * c - (3 - c) / 4, (h * c - c * h * 2 + h) / (c.abs() + 1)),
    "powers": lambda s, x, h, c: ((h.abs() + 1) ** 1.5 + h**3, 2**c + 1 / (c.abs() + 1) + (c.abs() + 1) ** -0.5),
    "powers of states": lambda s, x, h, c: (
        (h.abs() + 0.1) ** c + h.abs().pow(1.5 + c.sigmoid()),
        h ** torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]).to(h) + s.vector.abs() ** c,
    ),
    "remainders": lambda s, x, h, c: ((9 * h) % 0.7 + h % s.vector, torch.fmod(9 * c, 0.7) + torch.fmod(c, h + 9)),
    "rounding": lambda s, x, h, c: (
        h + (h * 9).round() + c.frac(),
        (c * 9).trunc() + torch.div(h, 0.1, rounding_mode="trunc"),
    ),
    "lerp": lambda s, x, h, c: (torch.lerp(h, c, 0.3) + torch.lerp(h, c, h.sigmoid()), torch.addcmul(h, c, s.vector)),
    "logarithms": lambda s, x, h, c: ((h.abs() + 1).log() + h.exp().log1p(), h.expm1() + (c.abs() + 1).log2()),
    "sums of exponentials": lambda s, x, h, c: (torch.logaddexp(h, c), torch.logaddexp(c, torch.full_like(c, -1e30))),
    "sine": lambda s, x, h, c: (h.sin() * c.cos() + h.erf(), h.sinh() + h.cosh() + c.tan() / 100),
    "angles": lambda s, x, h, c: (
        h.atan() + torch.atan2(h + 0.1, c - 0.2) + torch.hypot(h, c + 2.0),
        (c.tanh() * 0.9).asin() + (h.tanh() * 0.9).acos() + torch.sinc(c) + torch.deg2rad(h) + torch.rad2deg(c) / 60,
    ),
    "hyperbolic angles": lambda s, x, h, c: (h.asinh() + (c.abs() + 1.1).acosh(), (h.tanh() * 0.9).atanh() + c),
    "logarithms of two": lambda s, x, h, c: (
        torch.logaddexp2(h, c) + torch.xlogy(h, c.abs() + 1),
        torch.logit(h.sigmoid()) + torch.logit(c, 0.1),
    ),
    "extremes beside what is no number": lambda s, x, h, c: (
        torch.fmax(h, c) + torch.fmax(c, torch.full_like(c, torch.nan)),
        torch.fmin(c, x[:, :1]) + torch.fmin(torch.full_like(c, torch.nan), c),
    ),
    "whole quotients": lambda s, x, h, c: (h + 9 * c.detach() // 0.7, torch.div(c, 0.3, rounding_mode="floor") * h),
    "relu": lambda s, x, h, c: (F.relu(h) + F.relu6(c * 9) + F.leaky_relu(h, 0.2), F.prelu(c, s.scalar.view(1))),
    "elu": lambda s, x, h, c: (F.elu(h * 30) / 30 + F.selu(c), F.celu(h, 2.0) + F.threshold(c, 0.1, 0.2)),
    "gelu": lambda s, x, h, c: (F.gelu(h) + F.gelu(c, approximate="tanh"), F.silu(h) + F.mish(c) + F.hardswish(h * 4)),
    "softplus": lambda s, x, h, c: (F.softplus(h) + F.softplus(c, beta=2), F.logsigmoid(h) + F.softsign(c)),
    "hard gates": lambda s, x, h, c: (F.hardsigmoid(h * 4), F.hardsigmoid(c * 4 + 1) * h),
    "shrink": lambda s, x, h, c: (F.tanhshrink(h) + F.softshrink(c), F.hardshrink(h) + F.hardtanh(c)),
    "glu": lambda s, x, h, c: (F.glu(torch.cat([h, c], -1)), c),
    "means": lambda s, x, h, c: (h - h.mean(-1, keepdim=True), c.sum(-1, keepdim=True) * h / 8),
    "norms": lambda s, x, h, c: (F.normalize(h, dim=-1), c / (1 + c.norm(dim=-1, keepdim=True))),
    "cosine similarity": lambda s, x, h, c: (
        F.cosine_similarity(h.view(-1, 2, 4), c[:, None, :4], dim=-1).repeat(1, 4),
        c * F.cosine_similarity(h, s.vector, dim=-1)[:, None],
    ),
    "attention": lambda s, x, h, c: (
        F.scaled_dot_product_attention(h.view(-1, 2, 4), c.view(-1, 2, 4), c.view(-1, 2, 4).sin()).flatten(1),
        F.scaled_dot_product_attention(
            h.view(-1, 2, 1, 4), c.view(-1, 2, 1, 4), c.view(-1, 2, 1, 4), s.heads[:, :1, :1], scale=0.3
        ).flatten(1),
    ),
    "masked attention": lambda s, x, h, c: (
        F.scaled_dot_product_attention(
            *(v.view(-1, 2, 4, 1) for v in (h, c, c.sin())), (c > -0.2).view(-1, 2, 1, 4), scale=2.0
        ).flatten(1),
        F.scaled_dot_product_attention(*(v.view(-1, 4, 2) for v in (h, c, c)), attn_mask=s.mask[None, :4]).flatten(1),
    ),
    "causal attention": lambda s, x, h, c: (
        F.scaled_dot_product_attention(
            h.view(-1, 2, 2, 2), *(v[:, :4].view(-1, 1, 2, 2) for v in (c, c.sin())), is_causal=True, enable_gqa=True
        ).flatten(1),
        F.scaled_dot_product_attention(*(v.view(-1, 1, 4, 2) for v in (h, c, c)), is_causal=True).flatten(1),
    ),
    "attention of torch.nn": lambda s, x, h, c: (
        s.attention(h.view(-1, 2, 4), c.view(-1, 2, 4), c.view(-1, 2, 4), need_weights=False)[0].flatten(1),
        s.attention(*[c.view(-1, 2, 4)] * 3)[1].flatten(1).repeat(1, 2),
    ),
    "bilinear": lambda s, x, h, c: (
        F.bilinear(h[:, :2], c[:, :4], s.square.weight.view(8, 2, 4), s.vector),
        F.bilinear(c[:, :4], h[:, 6:], s.square.weight.T.reshape(8, 4, 2)) + c,
    ),
    "any and all": lambda s, x, h, c: (
        torch.where((h > 0.5).any(-1, keepdim=True), h, c),
        c * (c > -1).view(-1, 2, 4).all(1).to(c.dtype).repeat(1, 2),
    ),
    "maxima": lambda s, x, h, c: (h * c.amax(-1, keepdim=True), h.amin(-1, keepdim=True) + c),
    "order": lambda s, x, h, c: (
        h.sort(-1).values + c.view(-1, 2, 4).sort(1, descending=True).values.flatten(1),
        h.gather(-1, c.argsort(-1, descending=True)) + c.view(-1, 4, 2).median(1).values.repeat(1, 4),
    ),
    "the largest": lambda s, x, h, c: (
        torch.where(h >= h.topk(3).values[:, -1:], h, c),
        c.kthvalue(2, keepdim=True).values * h.max(-1).values[:, None] * c
        + c.view(-1, 4, 2).min(2, True).values.sum(1),
    ),
    "the first of equals": lambda s, x, h, c: (
        torch.stack([h, c, 2 * c], -1).max(-1).values + torch.stack([c, h], 1).argmax(1) * c,
        torch.stack([h, h, c], 1).min(1).values + h.view(-1, 2, 4).argmin(-1).sum(-1, keepdim=True) * h,
    ),
    "sorted beside what is infinite": lambda s, x, h, c: (
        (h + s.constant).masked_fill(s.mask, -torch.inf).topk(4, -1).values.repeat(1, 2),
        c.masked_fill(h > 0, torch.inf).sort(-1).values.clamp(max=9.0),
    ),
    "choices": lambda s, x, h, c: (
        (F.one_hot(h.argmax(-1), 8).to(h.dtype) + h.softmax(-1) - h.softmax(-1).detach()) * c,
        s.square.weight[c.argmin(-1)] + F.embedding(h.argmax(-1), s.square.weight, padding_idx=2),
    ),
    "whole numbers": lambda s, x, h, c: (
        h * ((9 * h).long().abs() // 2 % 3 == 1) + (c > 0).sum(-1, keepdim=True) * (9 * c).int(),
        c + (h.argmax(-1, keepdim=True) + 1).to(c.dtype) * (h * 2).bool().to(c.dtype),
    ),
    "scattered": lambda s, x, h, c: (
        torch.zeros_like(h).scatter(-1, h.argsort(-1), c) + h.scatter_add(1, c.argsort(-1)[:, :3] // 2, c[:, :3]),
        c.scatter(-1, torch.stack([h.argmax(-1), (h.argmax(-1) + 1) % 8], -1), 2 * h[:, :2]).scatter_(
            -1, c.argmax(-1, keepdim=True), 0.5
        ),
    ),
    "put to one place twice": lambda s, x, h, c: (
        c.scatter(-1, h.argmax(-1, keepdim=True).expand(-1, 3), torch.stack([h[:, 0], c[:, 1], 2 * h[:, 2]], -1)),
        c.view(-1, 2, 4).scatter_add(1, (h.view(-1, 2, 4) > 0).long(), h.view(-1, 2, 4)).flatten(1),
    ),
    "an index of the cell": lambda s, x, h, c: (
        h.gather(-1, s.order.expand(h.shape[0], -1)),
        c * (h.argsort(-1) == s.order) + (c.argmax(-1, keepdim=True) + s.order).to(c.dtype),
    ),
    "tables": lambda s, x, h, c: (
        s.square.weight.index_select(0, h.argmax(-1)) + s.vector[h.argmin(-1)][:, None] * c,
        s.square.weight[h.argmax(-1) - 8] + s.order[c.argmax(-1)][:, None].to(c.dtype) / 7,
    ),
    "parts of an axis": lambda s, x, h, c: (
        h.view(-1, 4, 2).gather(2, c.view(-1, 4, 2)[:, :3].argmax(2, True)).view(-1, 3).sum(-1, keepdim=True) * c,
        c.view(-1, 4, 2).scatter(1, h.view(-1, 4, 2)[:, :2].argsort(1), h.view(-1, 4, 2)[:, :2]).view(-1, 8),
    ),
    "raw order": lambda s, x, h, c: (
        h.topk(3).values.sum(-1, keepdim=True) + c.kthvalue(2, keepdim=True).values * c,
        torch.atan2(h, c) + torch.atan2(c, h.roll(1, -1)) + x.view(-1, 3, 2).sort(1).values.view(-1, 6).sum(-1, True),
    ),
    "masks": lambda s, x, h, c: (
        h * (c > 0).cumsum(-1) / 3 + torch.where((h > 0).max(-1, keepdim=True).values, h, c),
        c * ((h > 0) + 1) + (h > 0).prod(-1, keepdim=True) * h + F.one_hot(torch.arange(8), 8)[2],
    ),
    "new tensors of truth and whole numbers": lambda s, x, h, c: (
        h * torch.ones(h.shape[0], 8, dtype=torch.bool).scatter_(1, h.topk(3).indices, False),
        c + torch.zeros(len(h), 2, 8).long().scatter_(2, c.view(-1, 2, 4).argsort(-1), c.view(-1, 2, 4).long())[:, 1],
    ),
    "a ring of slots": lambda s, x, h, c: (
        put_into_slot(h.view(-1, 4, 2).clone(), c[:, :1].long().abs().clamp(max=3), c[:, None, :2]).flatten(1),
        c,
    ),
    "written into whole numbers": lambda s, x, h, c: (h * filled(9 * h, 9 * c).to(h.dtype), c),
    "products of all": lambda s, x, h, c: (
        h.prod(-1, keepdim=True) * c + h.view(-1, 2, 4).prod(1).repeat(1, 2),
        c.cumprod(-1) + h.view(-1, 4, 2).cumprod(1).flatten(1) + c[:, :7].prod(-1, keepdim=True),
    ),
    "cumulative sums of heads": lambda s, x, h, c: (
        h.view(-1, 2, 4).cumsum(1).flatten(1) * c.view(-1, 2, 4).cumsum(-1).flatten(1),
        c,
    ),
    "largest so far": lambda s, x, h, c: (
        h.cummax(-1).values * c.view(-1, 2, 4).cummin(1).values.flatten(1),
        c + F.relu(h).cummax(-1).indices + (2 * c).floor().cummin(-1).indices,
    ),
    "sums of powers so far": lambda s, x, h, c: (
        h.logcumsumexp(-1),
        c.view(-1, 2, 4).logcumsumexp(1).flatten(1),
    ),
    "a row at a time": lambda s, x, h, c: (
        torch.vmap(lambda u, v: (u * v).sum() * s.vector + u.softmax(-1))(h, c),
        torch.vmap(torch.func.grad(lambda u: (u.sin() * s.vector).sum()))(c)
        + torch.vmap(lambda w, u: u @ w, in_dims=(0, 1), out_dims=1)(s.heads, h.view(-1, 2, 4)).flatten(1),
    ),
    "powers in place": lambda s, x, h, c: ((2 * h).pow_(2) + c.clone().pow_(3), (1 + c * c).pow_(s.vector)),
    "angles of real numbers": lambda s, x, h, c: (h.angle() * c, torch.atan2(-0.0 * c, -h.abs() - 1) + c),
    "parts of no feature": lambda s, x, h, c: (
        sum(torch.cat([h[:, :k], c[:, k : k + 1], h[:, k + 1 :]], -1) for k in range(8)),
        written_part(c * 1, h, 0) + written_part(c * 1, h, 8),
    ),
    "detached parts of parameters": lambda s, x, h, c: (
        s.square.weight.t().detach()[:, 0] * c + s.recurrent.weight[:, 1:3].detach()[5].sum() * h,
        c * s.square.weight.t()[2].detach(),
    ),
    "largest whole numbers so far": lambda s, x, h, c: (
        h * (9 * c).long().cummax(-1).values,
        c + torch.cummax(h > 0, -1).values
        + (9 * h).long().scatter_reduce(-1, c.argsort(-1) // 2, (9 * c).long(), "mean"),
    ),
    "detached parameters": lambda s, x, h, c: (
        s.vector.detach() * c + h @ s.square.weight.detach(),
        s.vector.data * h + c * s.vector.detach()[2:3] + s.square(c.detach()) + s.vector * x.sum(-1, keepdim=True),
    ),
    "quantiles": lambda s, x, h, c: (
        h.quantile(0.3, dim=-1, keepdim=True) * c.quantile(1.0, -1)[:, None] * c,
        torch.quantile(c.view(-1, 2, 4), 0.7, 1, interpolation="midpoint").repeat(1, 2)
        + h.quantile(0.33, -1, True, interpolation="lower")
        - h.quantile(0.33, -1, True, interpolation="higher") * c.quantile(0.4, 1, True, interpolation="nearest"),
    ),
    "buckets": lambda s, x, h, c: (
        h * torch.bucketize(c, s.constant - 0.5) + torch.bucketize((2 * h).floor(), s.order.sort()[0], right=True),
        c * torch.searchsorted(h.sort(-1)[0], c) + torch.searchsorted(s.constant, h, side="right"),
    ),
    "among some": lambda s, x, h, c: (
        h * torch.isin((3 * c).floor(), s.order) + torch.isin((3 * c).long(), torch.tensor([1, -1]), invert=True),
        c + torch.count_nonzero(F.relu(h), -1).unsqueeze(-1),
    ),
    "added by an index": lambda s, x, h, c: (
        h.index_add(1, torch.tensor([0, 3, 3, 3]), c[:, :4], alpha=0.5),
        torch.index_add(c.view(-1, 2, 4), 2, s.order[2:4] % 2, h.view(-1, 2, 4)[:, :, :2]).flatten(1),
    ),
    "gathered by an index": lambda s, x, h, c: (
        h.scatter_reduce(-1, c.argsort(-1) // 2, c, "sum") + h.scatter_reduce(-1, c.argsort(-1) // 2, c, "mean")
        + h.scatter_reduce(-1, c.argsort(-1) // 3, c, "prod", include_self=False),
        c.view(-1, 2, 4).scatter_reduce(1, (h.view(-1, 2, 4) > 0).long(), h.view(-1, 2, 4), "amax").flatten(1)
        + c.scatter_reduce(1, h.argsort(-1)[:, :3] // 2, h[:, :3], "amin", include_self=False),
    ),
    "signs and steps": lambda s, x, h, c: (
        torch.copysign(h, c) * torch.copysign(c, -2 * s.vector) + torch.copysign(s.vector, h),
        torch.heaviside((2 * h).floor().detach(), s.vector.detach()) * c,
    ),
    "pooling": lambda s, x, h, c: (
        F.avg_pool1d(h[:, None], 2)[:, 0].repeat(1, 2) + F.max_pool1d(c[:, None], 3, 1, 1)[:, 0],
        F.adaptive_avg_pool1d(h[:, None], 3)[:, 0].sum(-1, keepdim=True) * c
        + F.adaptive_max_pool2d(c.view(-1, 1, 2, 4), (1, 3)).sum((1, 2, 3))[:, None]
        + F.avg_pool2d(h.view(-1, 2, 2, 2), 2, 1, 1).flatten(1)[:, :8],
    ),
    "places of the largest": lambda s, x, h, c: (
        h * F.max_pool1d(c[:, None], 3, 2, 1, return_indices=True)[1].sum(-1),
        c * F.adaptive_max_pool2d(h.view(-1, 1, 2, 4), (1, 3), return_indices=True)[1].sum((2, 3)),
    ),
    "distances": lambda s, x, h, c: (
        torch.cdist(h, s.square.weight) + torch.cdist(h.view(-1, 2, 4), c.view(-1, 2, 4), 1.0).flatten(1).repeat(1, 2),
        F.pad(torch.linalg.cross(h[:, :3], c[:, 3:6]), (0, 5)) + c,
    ),
    "grown and padded": lambda s, x, h, c: (
        F.interpolate(h.view(-1, 2, 4), scale_factor=2).flatten(1)[:, 4:12] + F.pixel_shuffle(
            c.view(-1, 4, 1, 2), 2
        ).flatten(1),
        F.pad(c[:, None, :6], (1, 1), mode="replicate")[:, 0] + F.pad(h[:, None, :5], (1, 2), mode="reflect")[:, 0],
    ),
    "grown and padded planes": lambda s, x, h, c: (
        F.interpolate(h.view(-1, 1, 2, 4), scale_factor=2).flatten(1)[:, 8:16]
        + F.channel_shuffle(c.view(-1, 4, 1, 2), 2).flatten(1),
        F.pixel_unshuffle(c.view(-1, 1, 2, 4), 2).flatten(1)
        + F.pad(h.view(-1, 1, 2, 4), (1, 0, 0, 1), mode="replicate").flatten(1)[:, 2:10]
        + F.pad(h.view(-1, 1, 2, 4), (2, 1, 1, 0), mode="reflect").flatten(1)[:, 7:15],
    ),
    "means of windows": lambda s, x, h, c: (
        F.avg_pool2d(h.view(-1, 1, 2, 4), 2, 1, divisor_override=3).flatten(1).sum(-1, keepdim=True) * c,
        c,
    ),
    "no numbers": lambda s, x, h, c: (
        torch.nan_to_num(torch.where(c > 0, torch.nan, h), 0.1),
        torch.nan_to_num(torch.where(c > 0, torch.inf, torch.where(h > 0, -torch.inf, c)), posinf=2.0, neginf=-3.0),
    ),
    "deviation": lambda s, x, h, c: (h / h.std(-1, keepdim=True), c - c.logsumexp(-1, keepdim=True)),
    "sums of heads": lambda s, x, h, c: (h.view(-1, 2, 4).sum(1).repeat(1, 2), h.view(-1, 4, 2).mean(1).repeat(1, 4)),
    "repeated": lambda s, x, h, c: (
        h[:, :2].repeat_interleave(4, -1),
        (h.view(-1, 2, 4) * c.view(-1, 2, 4)[:, :1]).flatten(1),
    ),
    "from parameters": lambda s, x, h, c: (h * torch.exp(s.vector) + s.scalar * c, c * (-s.vector).sigmoid()),
    "masks and constants": lambda s, x, h, c: (h * s.mask + s.constant, c * torch.arange(8, dtype=h.dtype)),
    "weight norm": lambda s, x, h, c: (s.weight_norm(h), c),
    "triangular weight": lambda s, x, h, c: (h @ torch.tril(s.square.weight), h @ torch.diag(s.vector)),
    "orthogonal weight": lambda s, x, h, c: (h @ torch.matrix_exp(s.square.weight - s.square.weight.T), c),
    "Cayley's transform": lambda s, x, h, c: (
        h @ torch.linalg.solve(torch.eye(8).to(h) + s.square.weight - s.square.weight.T, torch.eye(8).to(h)),
        h @ torch.linalg.inv(torch.eye(8, dtype=h.dtype) + s.square.weight - s.square.weight.T),
    ),
    "parts of weights": lambda s, x, h, c: (
        h @ s.square.weight.t() + x @ s.joined.weight[:, :6].T,
        (s.square.weight @ c.T).T,
    ),
    "scores": lambda s, x, h, c: ((h @ s.vector)[:, None] * c, c),
    "outer product": lambda s, x, h, c: (torch.bmm(h[:, :2, None], c[:, None, :4]).flatten(1), c),
    "memory read": lambda s, x, h, c: (torch.einsum("bij,bj->bi", h.view(-1, 2, 4), c[:, :4]).repeat(1, 4), c),
    "new tensors": lambda s, x, h, c: (
        h + torch.zeros_like(c) + torch.full((h.shape[0], 8), 0.25),
        c + h.new_ones(h.shape),
    ),
    "parameter a row": lambda s, x, h, c: (torch.cat([h[:, :4], s.vector[:4].expand(h.shape[0], 4)], -1), c),
    "triangles": lambda s, x, h, c: (
        (h.view(-1, 2, 4).tril(1) @ torch.triu(c.view(-1, 4, 2), -1)).flatten(1).repeat(1, 2),
        torch.diag_embed(c[:, :2]).repeat(1, 2, 1).flatten(1),
    ),
    "moves": lambda s, x, h, c: (h.roll(1, -1) + h.flip(-1), c[:, [0, 2, 4, 6, 1, 3, 5, 7]] + F.pad(h[:, 1:7], (1, 1))),
    "stack": lambda s, x, h, c: (torch.stack([h[:, :4], c[:, 4:]], 1).flatten(1), c),
    "in place": lambda s, x, h, c: (s.joined(torch.cat([x, h], -1)).add_(c).sigmoid_(), F.relu(h + c, inplace=True)),
    "normalised weight": lambda s, x, h, c: (h @ F.normalize(s.square.weight, dim=1).T, c),
    "summed up in place": lambda s, x, h, c: (torch.zeros_like(h).add_(h).mul_(c), c),
    "detach": lambda s, x, h, c: (h.detach() * c, (c - c.detach()) * h + c),
    "no dropout": lambda s, x, h, c: (F.dropout(h, training=False), c),
    "mogrifier": lambda s, x, h, c: (
        (s.input(2 * torch.sigmoid(h @ s.joined.weight[:, :6]) * x) + s.recurrent(h)).chunk(4, -1)[:2]
    ),
    "unchanged": lambda s, x, h, c: (c, h),
    "input as state": lambda s, x, h, c: (h * 0.5, F.pad(x, (0, 2))),
}  # fmt: skip


def slstm(s: Step, x: torch.Tensor, h: torch.Tensor, c: torch.Tensor) -> tuple[torch.Tensor, ...]:
    i, f, g, o = (s.input(x) + s.recurrent(h)).chunk(4, -1)
    m = torch.maximum(F.logsigmoid(f) + c, i)
    return torch.exp(i - m) * g.tanh() * o.sigmoid(), m


def no_grad(s: Step, x: torch.Tensor, h: torch.Tensor, c: torch.Tensor) -> tuple[torch.Tensor, ...]:
    with torch.no_grad():
        still = h * 2
    return still * c + h, c


def gates_by_themselves(s: Step, x: torch.Tensor, h: torch.Tensor, c: torch.Tensor) -> tuple[torch.Tensor, ...]:
    W, U = s.input.weight, s.recurrent.weight
    i, f = (F.linear(x, W[n : n + 8], s.input.bias[n : n + 8]) + F.linear(h, U[n : n + 8]) for n in (0, 8))
    return i.sigmoid() * f.tanh(), s.vector * c + i


STEPS |= {"sLSTM": slstm, "no grad": no_grad, "gates by themselves": gates_by_themselves}


@pytest.mark.parametrize("name", STEPS)
def test_a_step_becomes_a_program_that_says_the_same(name: str) -> None:
    torch.manual_seed(0)
    equations = STEPS[name]

    def bounded(s: Step, x: torch.Tensor, h: torch.Tensor, c: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(torch.tanh(0.5 * new) for new in equations(s, x, h, c))

    compare(step_cell(equations), steps=1)
    compare(step_cell(bounded), steps=3)


@pytest.mark.parametrize("name", STEPS)
def test_a_step_is_traced_in_float32_too(name: str) -> None:
    trace(step_cell(STEPS[name]).float())


def asks_for_its_own_dtype(s: Step, x: torch.Tensor, h: torch.Tensor, c: torch.Tensor) -> tuple[torch.Tensor, ...]:
    decay = -torch.exp(s.vector.float()).to(h.dtype)
    scale = (h.float().pow(2).mean(-1, keepdim=True) + 1e-6).rsqrt().type_as(h)
    share = F.softmax(c, -1, dtype=torch.float32).to(c.dtype) * s.mask.float()
    return h * scale * decay * (h > 0).float().mean(-1, keepdim=True), share + s.square(c.to(torch.float32))


def test_a_step_that_asks_for_the_dtype_it_has_is_a_program() -> None:
    cell = step_cell(asks_for_its_own_dtype).float()
    program = trace(cell)
    x, h, c = torch.randn(3, 6), torch.randn(3, 8), torch.randn(3, 8)
    found = run_program(program, gather_leaves(program, cell), x, [h, c])
    torch.testing.assert_close(tuple(found), cell(x, h, c))
    with pytest.raises(UnsupportedOperation, match="differ from those of the cell"):
        trace(step_cell(lambda s, x, h, c: (h.float().double(), c)))


TINY = {
    "number": lambda s, x, h, c: ((h.abs() + torch.finfo(h.dtype).tiny).log(), c),
    "tensor": lambda s, x, h, c: (torch.maximum(h, torch.full((8,), torch.finfo(h.dtype).tiny)).log(), c),
    "one of many": lambda s, x, h, c: (h + torch.where(s.mask, torch.finfo(h.dtype).tiny, 1.0), c),
    "rms norm": lambda s, x, h, c: (F.rms_norm(1e-5 + h, (8,)), F.rms_norm(c, (8,), s.vector)),
}


@pytest.mark.parametrize("name", TINY)
def test_a_number_that_depends_on_the_dtype_is_that_of_the_dtype(name: str) -> None:
    cell = step_cell(TINY[name])
    for subject in (cell, cell.float()):
        program, dtype = trace(subject), next(subject.parameters()).dtype
        x, *states = (torch.zeros(3, size, dtype=dtype) for size in (subject.input_size, *subject.states.values()))
        found = run_program(program, gather_leaves(program, subject), x, states)
        torch.testing.assert_close(found, subject(x, *states), rtol=1e-5, atol=0.0)


def test_a_step_that_does_something_else_in_another_dtype_is_refused() -> None:
    cell = step_cell(lambda s, x, h, c: (h.tanh() if h.dtype == torch.float32 else h.sigmoid(), c))
    trace(cell)
    with pytest.raises(UnsupportedOperation, match="does something else in another dtype"):
        trace(cell.float())


def test_a_number_is_divided_by_and_not_multiplied_with_its_inverse_where_results_jump() -> None:
    """49 / 49 is 1, and 49 · (1 / 49) less than that: a counter of steps would come round one step late."""

    def counted(s: Step, x: torch.Tensor, h: torch.Tensor, c: torch.Tensor) -> tuple[torch.Tensor, ...]:
        times = (c / 49).floor() + 10 * (c % 49) + 1000 * (c / 49 >= 1).to(c.dtype) + 5000 * torch.fmod(c, 49)
        return times + 0 * h, c + 1

    cell = step_cell(counted)
    program = trace(cell)
    for count in (1, 48, 49, 50, 98, 147, 1029):
        x, h, c = torch.zeros(1, 6).double(), torch.zeros(1, 8).double(), torch.full((1, 8), float(count)).double()
        found = run_program(program, gather_leaves(program, cell), x, [h, c])[0]
        torch.testing.assert_close(found, cell(x, h, c)[0], rtol=0, atol=0)


class Sizes(Cell):
    """Slices of 7, 14 and 35 features, multiples of the smallest batch that is tried."""

    def __init__(self) -> None:
        super().__init__()
        self.input_size = 40
        self.states = {"h": 40}

    def forward(self, x: torch.Tensor, h: torch.Tensor) -> tuple[torch.Tensor]:
        seven, fives = h[:, :7].softmax(-1), h[:, :35].view(-1, 5, 7).logsumexp(2)
        return (torch.cat([seven, fives, h[:, 12:]], -1) + (x[:, :14] * h[:, :14]).sum(-1, keepdim=True),)


def test_what_is_true_or_not_is_not_compared_again() -> None:
    program = trace(step_cell(lambda s, x, h, c: (h * ((h > 0) & (c > 0)), c)))
    assert [i.op for i in program.instructions] == ["gt", "gt", "mul", "mul"]


def test_a_size_that_the_step_makes_may_be_a_multiple_of_a_sample() -> None:
    x, h = torch.randn(3, 40, dtype=torch.float64), torch.randn(3, 40, dtype=torch.float64)
    program = trace(Sizes())
    torch.testing.assert_close(run_program(program, [], x, [h])[0], Sizes()(x, h)[0])


class ManySizes(Cell):
    """Parameters of so many sizes that every batch divides some of them."""

    def __init__(self) -> None:
        super().__init__()
        self.input_size = 3
        self.states = {"h": 4}
        self.linear = nn.Linear(7, 4)
        self.others = nn.ParameterList(torch.zeros(size) for size in range(1, 220))

    def forward(self, x: torch.Tensor, h: torch.Tensor) -> tuple[torch.Tensor]:
        return (self.linear(torch.cat([x, h], -1)).tanh(),)


def test_a_cell_may_have_parameters_of_any_sizes() -> None:
    assert len(trace(ManySizes()).instructions) == 5
