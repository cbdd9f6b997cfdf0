"""The native engine among PyTorch's own tools: graphs, autocast, gradcheck, what it refuses."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from steploom.cells.cell import Cell
from steploom.cells.registry import make_cell
from steploom.engine.choice import use_engine
from steploom.errors import OptionError
from steploom.layers.drop_in import GRU, LSTM
from steploom.layers.recurrent import Recurrent
from steploom.program.prologue import gather_leaves

LENGTHS = torch.tensor([6, 3, 1, 0, 2, 5])


class Model(nn.Module):
    """A layer among others."""

    def __init__(self, name, **options):
        super().__init__()
        self.before = nn.Linear(3, 4)
        self.rnn = Recurrent(make_cell(name, 4, 5), **options)
        self.after = nn.Linear(self.rnn.output_size, 2)

    def forward(self, x, lengths=None, resets=None):
        y, state = self.rnn(torch.tanh(self.before(x)), None, lengths, resets)
        return (self.after(y), *state)


def gradients(model, *args):
    outputs = model(*args)
    loss = sum(part.sin().sum() for part in outputs)
    return outputs, torch.autograd.grad(loss, list(model.parameters()))


@pytest.fixture
def graphs():
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("lstm", {"num_layers": 2, "bidirectional": True}),
        ("lstm", {"batch_first": True}),
        ("slstm", {}),
        pytest.param("lstm-layernorm", {}, marks=pytest.mark.slow),
        pytest.param("mogrifier-lstm", {}, marks=pytest.mark.slow),
        pytest.param("minlstm", {}, marks=pytest.mark.slow),
    ],
)
def test_compile_equals_eager(graphs, name, options):
    model = Model(name, **options)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    x, resets = torch.randn(6, 6, 3), torch.rand(6, 6) < 0.3
    for args in ((x,), (x, LENGTHS, resets)):
        torch.testing.assert_close(gradients(compiled, *args), gradients(model, *args))
        with torch.no_grad():
            torch.testing.assert_close(compiled(*args), model(*args))


@pytest.mark.parametrize("kind", [LSTM, GRU])
def test_compiled_drop_ins_equal_eager_ones(graphs, kind):
    layer = kind(3, 4, num_layers=2, bidirectional=True, batch_first=True)
    model = nn.Sequential(nn.Linear(3, 3), layer)
    x = torch.randn(2, 5, 3)
    with torch._dynamo.config.patch(allow_rnn=True):  # Without it, PyTorch keeps all of torch.nn's out of its graphs.
        compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
        torch.testing.assert_close(compiled(x), model(x))


class Counted(Cell):
    """Reads a buffer of whole numbers and one of flags."""

    def __init__(self):
        super().__init__()
        self.input_size, self.states = 3, {"h": 4}
        self.map = nn.Linear(7, 4)
        self.register_buffer("steps", torch.arange(4))
        self.register_buffer("kept", torch.tensor([[True, False, True, True]]))

    def forward(self, x, h):
        return (torch.tanh(self.map(torch.cat((x, h), -1)) * self.steps) + self.kept,)


def test_whole_numbers_of_a_cell_in_a_graph(graphs):
    rnn = Recurrent(Counted(), engine="native")
    x = torch.randn(5, 2, 3)
    found = []
    for model in (rnn, torch.compile(rnn, fullgraph=True, backend="aot_eager")):
        y, _ = model(x)
        found.append((y, torch.autograd.grad(y.sin().sum(), list(rnn.parameters()))))
    torch.testing.assert_close(*found)


def test_a_changed_cell_makes_a_new_graph(graphs):
    rnn = Recurrent(make_cell("rnn", 3, 4))
    compiled = torch.compile(rnn, fullgraph=True, backend="aot_eager")
    x = torch.randn(5, 2, 3)
    before = compiled(x)[0]
    rnn.cell.activation = torch.sigmoid
    torch.testing.assert_close(compiled(x), rnn(x))
    assert not torch.allclose(compiled(x)[0], before)


def test_a_graph_checks_the_lengths(graphs):
    rnn = Recurrent(make_cell("gru", 3, 4))
    compiled = torch.compile(rnn, fullgraph=True, backend="aot_eager")
    compiled(torch.randn(5, 2, 3), None, torch.tensor([5, 2]))
    with pytest.raises(OptionError, match="lengths must lie between 0 and the 5 steps of x, found 2 to 6"):
        compiled(torch.randn(5, 2, 3), None, torch.tensor([6, 2]))


@pytest.mark.parametrize("strict", [False, True])
def test_export_equals_eager(graphs, strict):
    model = Model("gru", bidirectional=True)
    x, resets = torch.randn(6, 6, 3), torch.rand(6, 6) < 0.3
    batch = torch.export.Dim("batch", min=2)
    shapes = {"x": {1: batch}, "lengths": {0: batch}, "resets": {1: batch}}
    exported = torch.export.export(model, (x, LENGTHS, resets), dynamic_shapes=shapes, strict=strict)
    assert any("steploom.run" in str(node.target) for node in exported.graph.nodes)
    args = torch.randn(6, 4, 3), LENGTHS[:4], resets[:, :4]
    torch.testing.assert_close(exported.module()(*args), model(*args))


def test_a_cell_that_was_never_run_can_be_exported(graphs):
    class Fresh(type(make_cell("gru", 3, 4))):
        def forward(self, x, h):
            return (super().forward(x, h)[0] * 0.875,)

    rnn, x = Recurrent(Fresh(3, 4)), torch.randn(5, 2, 3)
    exported = torch.export.export(rnn, (x,))
    torch.testing.assert_close(exported.module()(x), rnn(x))


@pytest.mark.parametrize("path", ["eager", "operator"])
@pytest.mark.parametrize("name", ["lstm", "gru", "slstm"])
def test_gradcheck(name, path):
    rnn = Recurrent(make_cell(name, 2, 3).double(), num_layers=2)
    parameters = [p.detach().requires_grad_() for p in rnn.parameters()]
    names = [name for name, _ in rnn.named_parameters()]
    x = torch.randn(4, 3, 2, dtype=torch.float64, requires_grad=True)
    state = tuple((0.5 * torch.randn_like(s)).requires_grad_() for s in rnn.initial_state(3))
    if name == "slstm":
        state = None
    resets = torch.rand(4, 3) < 0.2

    def run(x, *tensors):
        weights = dict(zip(names, tensors[: len(names)], strict=True))
        y, final = torch.func.functional_call(
            rnn, weights, (x, tensors[len(names) :] or None, torch.tensor([4, 0, 2]), resets)
        )
        return (y, *final)

    if path == "operator":
        run = through_the_operator(run)
    assert torch.autograd.gradcheck(run, (x, *parameters, *(state or ())))


def through_the_operator(run):
    """The way that graphs take."""

    def way(*args):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch.compiler, "is_compiling", lambda: True)
            return run(*args)

    return way


def test_the_operators_pass_the_checks_of_pytorch():
    rnn = Recurrent(make_cell("lstm", 3, 4))
    rnn(torch.randn(2, 2, 3))
    program = rnn.program
    key = rnn.stack.choose(rnn.cell).compiled.key
    leaves = [leaf.detach().requires_grad_() for leaf in gather_leaves(program, rnn.cell)]
    x = torch.randn(5, 2, 3, requires_grad=True)
    states = [torch.randn(2, 4, requires_grad=True) for _ in range(2)]
    args = (x, states, leaves, [], torch.tensor([5, 2]), None, key, False, False, True, 0)
    torch.library.opcheck(
        torch.ops.steploom.run.default,
        args,
        test_utils=("test_schema", "test_autograd_registration", "test_faketensor"),
    )


def test_autocast_computes_in_the_dtype_of_the_weights():
    model, x = Model("lstm-layernorm"), torch.randn(6, 4, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = model.before(x)
        y, state = model.rnn(half)
        drop_in, _ = LSTM(4, 5)(half)
    assert half.dtype == torch.bfloat16
    assert (y.dtype, state[0].dtype, drop_in.dtype) == (torch.float32,) * 3
    torch.testing.assert_close(y, model.rnn(half.float())[0])
    y.sum().backward()
    assert model.before.weight.grad.abs().sum() > 0


def reverse_mode_twice(rnn, x):
    (gradient,) = torch.autograd.grad(rnn(x)[0].sin().sum(), x, create_graph=True)
    gradient.square().sum().backward()


def forward_mode(rnn, x):
    torch.func.jvp(lambda x: rnn(x)[0], (x,), (x,))


def dual_numbers(rnn, x):
    with torch.autograd.forward_ad.dual_level():
        rnn(torch.autograd.forward_ad.make_dual(x, x))


def batched(rnn, x):
    torch.vmap(lambda x: rnn(x)[0])(x.unsqueeze(0))


def functional(rnn, x):
    torch.func.grad(lambda x: rnn(x)[0].sum())(x)


def many_gradients_at_once(rnn, x):
    y, _ = rnn(x)
    torch.autograd.grad(y, x, torch.stack([torch.ones_like(y)] * 2), is_grads_batched=True)


def vectorised_jacobian(rnn, x):
    torch.autograd.functional.jacobian(lambda x: rnn(x)[0], x, vectorize=True)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")  # by PyTorch itself
@pytest.mark.parametrize(
    "act",
    [many_gradients_at_once, vectorised_jacobian, reverse_mode_twice, forward_mode, dual_numbers, batched, functional],
)
@pytest.mark.parametrize("every", [None, 2])
def test_what_it_cannot_do_it_refuses(act, every):
    rnn = Recurrent(make_cell("lstm", 3, 4), checkpoint_every=every)
    x = torch.randn(5, 2, 3, requires_grad=True)
    with pytest.raises(OptionError, match="engine='reference'"):
        act(rnn, x)
    with use_engine("reference"):
        act(rnn, x)


def test_create_graph_alone_is_allowed():
    rnn = Recurrent(make_cell("lstm", 3, 4))
    x = torch.randn(5, 2, 3, requires_grad=True)
    (one,) = torch.autograd.grad(rnn(x)[0].sum(), x, create_graph=True)
    (other,) = torch.autograd.grad(rnn(x)[0].sum(), x)
    assert torch.equal(one, other)


DISTRIBUTED = """
import os, sys
import torch
from torch import nn
from steploom import LSTMCell, Recurrent

store = torch.distributed.FileStore(sys.argv[1], 1)
torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
model = Recurrent(LSTMCell(3, 5), bidirectional=True)
x, lengths = torch.randn(6, 6, 3), torch.tensor([6, 0, 3, 1, 5, 6])
model(x, lengths=lengths)[0].sin().sum().backward()
expected = [p.grad.clone() for p in model.parameters()]
model.zero_grad()
nn.parallel.DistributedDataParallel(model)(x, lengths=lengths)[0].sin().sum().backward()
torch.testing.assert_close([p.grad for p in model.parameters()], expected)
print("equal", flush=True)
os._exit(0)  # gloo's threads may wait for ever for a process that ends in the ordinary way
"""


def test_distributed_data_parallel(tmp_path):
    command = [sys.executable, "-c", DISTRIBUTED, str(tmp_path / "store")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.stdout == "equal\n", done.stderr


def test_a_cell_that_is_no_program_is_compiled_as_a_loop(graphs):
    class Rising(type(make_cell("gru", 3, 4))):
        def forward(self, x, h):
            return (torch.special.i0(super().forward(x, h)[0]),)

    rnn, x = Recurrent(Rising(3, 4)), torch.randn(5, 2, 3)
    with pytest.warns(UserWarning, match="'i0'"):
        y, _ = torch.compile(rnn, fullgraph=True, backend="eager")(x)
    torch.testing.assert_close(y, rnn(x)[0])
