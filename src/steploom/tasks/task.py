"""What a task is: options, data, a network, a metric, predictions and a plot, all in one class."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, Self, TypeVar

from steploom.errors import OptionError
from steploom.training.options import Options, TrainOptions

if TYPE_CHECKING:
    from steploom.data.batches import Batches
    from steploom.models.network import Network

__all__ = ["TARGET", "Evaluation", "Files", "MetricLabel", "Prediction", "Prepared", "Task", "named_files", "only_file"]

TARGET = "target"
"""The unit of a metric that has that of the user's data."""

T = TypeVar("T", bound="Task")


class Files(tuple[Path, ...]):
    """The files that a user named for one part of the data: one, several to be joined, or parallel ones."""

    __slots__ = ()


def only_file(files: Sequence[Path], what: str) -> Path | None:
    """The file of a part that must be one file; None without one.

    Raises:
        OptionError: there are several. `what` says which part, such as "--valid".
    """
    if len(files) > 1:
        raise OptionError(f"{what}: expected one file, found {len(files)}: {', '.join(str(file) for file in files)}")
    return files[0] if files else None


def named_files(files: Sequence[Path]) -> str:
    """How the files of a part are said: "the file a.txt and b.txt"."""
    return f"the file {' and '.join(file.name for file in files)}"


class MetricLabel(NamedTuple):
    """How a metric is called in a table.

    Attributes:
        name: its name for people.
        unit: "%" for a share of 1, `TARGET`, or the unit itself.
        better: which way is better.
    """

    name: str
    unit: str = ""
    better: str = ""


@dataclass
class Prepared(Generic[T]):
    """What a task made of the user's files; everything was read and checked, nothing was written.

    Args:
        task: the task with its options and with what it learnt from the data.
        train: the training batches.
        valid: the batches whose loss chooses the best weights, or None.
        valid_source: what `Task.evaluate` takes to score the validation part, or None: `Files`, or any object of the
            task's own.
        test_source: the same for the test part.
        overlap: what `steploom.tasks.overlap.overlap` says of the parts that have files of their own.
    """

    task: T
    train: Batches
    valid: Batches | None = None
    valid_source: object | None = None
    test_source: object | None = None
    overlap: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Evaluation:
    """Scores.

    Args:
        metrics: lower-case name to value.
        baselines: name of a naive method to the same metrics.
        write: writes the predictions that were scored to a file, where the task has them.
    """

    metrics: dict[str, float]
    baselines: dict[str, dict[str, float]] = field(default_factory=dict)
    write: Callable[..., None] | None = None

    def __post_init__(self) -> None:
        self.write = None if self.write is None else _of_any_path(self.write)


@dataclass
class Prediction:
    """What a trained model says.

    Args:
        text: for standard output, with the final newline.
        write: writes the same to a file, in the task's format.
        value: the same as an object for Python: a data frame, a list of texts.
        pieces: where the data come bit by bit, the text that each bit leads to, made when it is asked for; `text` is
            empty then.
    """

    text: str
    write: Callable[..., None]
    value: Any = None
    pieces: Iterator[str] | None = None

    def __post_init__(self) -> None:
        self.write = _of_any_path(self.write)


def _of_any_path(write: Callable[[Path], None]) -> Callable[..., None]:
    """`write` for a path that a user may give as text."""

    def written(path: str | Path) -> None:
        write(Path(path))

    return written


class Task(ABC):
    """A kind of job. An instance holds the options and the artefacts: what was learnt from the training data, as JSON.

    The module of a task must import neither torch nor pandas nor matplotlib at its top: the command line reads the
    options from it.

    Attributes:
        name: as the command line knows it.
        summary: a line about it.
        parallel: whether two files of one part are read side by side, so that they may be the same one.
        metrics: how tables show what `evaluate` gives; other metrics keep their names.
        TrainOptions, PredictOptions, EvaluateOptions: the options of the three commands.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    parallel: ClassVar[bool] = False
    metrics: ClassVar[Mapping[str, MetricLabel]] = {}
    TrainOptions: ClassVar[type[TrainOptions]] = TrainOptions
    PredictOptions: ClassVar[type[Options]] = Options
    EvaluateOptions: ClassVar[type[Options]] = Options

    def __init__(self, options: Any, artefacts: dict[str, Any]) -> None:
        """A task from the options of its training and from NAME to JSON-able artefacts (saved as NAME.json)."""
        self.options = options
        self.artefacts = artefacts

    @property
    def predicts_alone(self) -> bool:
        """Whether `predict` has something to say without data of the user's."""
        return False

    def readers(self) -> dict[str, Callable[[Any], object]]:
        """For each artefact what reads it. A wrong one raises an error: someone may have changed the file by hand."""
        return {}

    @classmethod
    @abstractmethod
    def prepare(
        cls, options: Any, train: Sequence[Path], valid: Sequence[Path] = (), test: Sequence[Path] = ()
    ) -> Prepared[Self]:
        """Reads and checks all files. Writes nothing.

        Args:
            options: how to train.
            train: one file or more.
            valid, test: the files of these parts; none: there is no such part, or the task sets one aside.

        Raises:
            DataError: a file cannot be used.
            OptionError: an option does not fit the data.
        """

    @abstractmethod
    def build(self) -> Network:
        """The network, with fresh weights from torch's global generator (the caller seeds it).

        Its shape follows from options and artefacts alone.
        """

    def describe(self, loss: float) -> dict[str, float]:
        """The mean loss as metrics that people read, such as the perplexity; shown beside the loss while training."""
        return {}

    def finish(self, network: Any, prepared: Prepared[Any]) -> None:
        """Called once after training with the best weights, before they are saved.

        It may change buffers of the network and the artefacts. The validation part is scored with the buffers as they
        were before, for they may have been learnt from it.
        """
        return

    def refit_batches(self, prepared: Prepared[Any], steps: int) -> Batches | None:
        """Batches of all rows, the validation ones too, in which the network is trained anew from fresh weights.

        Asked for once, after `finish` and after the validation part was scored. None: the best weights are the last
        word.

        Args:
            prepared: what `prepare` returned.
            steps: how many batches, so that they go as far as was best (`steploom.training.refit.steps_of_refit`).
        """
        return None

    @abstractmethod
    def evaluate(self, network: Any, data: object, options: Any) -> Evaluation:
        """Scores `network` (an instance of what `build` returns) on `data`.

        `data` is `Files`, or a source that `prepare` returned.
        """

    @abstractmethod
    def predict(self, network: Any, data: Path | None, options: Any) -> Prediction:
        """Predictions for a user's file (None where the task needs no file)."""

    @abstractmethod
    def plot(self, network: Any, data: Sequence[Path], path: Path) -> None:
        """Writes a picture that shows what the model does to `path` (PNG); `data` may be no file at all."""

    def architecture(self) -> dict[str, Any]:
        """What decides the shape of the network, for model.json and `steploom info`: short name to value."""
        return {name: getattr(self.options, name) for name in ("cell", "hidden_size", "num_layers")}

    def facts(self) -> dict[str, Any]:
        """What `steploom info` shows besides the options: short name to value."""
        return {}
