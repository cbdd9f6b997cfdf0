"""Which engine a stream runs on."""

from __future__ import annotations

from steploom.engine.choice import engine_asked_for
from steploom.engine.stream import Stream, StreamPlan
from steploom.engine.stream_native import NativeStream, lowered_layers
from steploom.engine.stream_reference import ReferenceStream
from steploom.errors import OptionError

__all__ = ["open_stream"]


def open_stream(plan: StreamPlan) -> Stream:
    """A stream on the native engine where it can run every layer, else on the reference engine.

    Raises:
        OptionError: engine="native" was asked for and cannot run the cell, engine="aten" was asked for, or the weights
            differ in dtype.
    """
    name = engine_asked_for(plan.engine)
    if name == "reference":
        return ReferenceStream(plan, "it was asked for")
    if name == "aten":
        raise OptionError("The engine 'aten' cannot stream: it runs whole sequences. Use engine='auto' or 'reference'.")
    layers = lowered_layers(plan)
    if not isinstance(layers, str):
        return NativeStream(plan, layers)
    if name == "native":
        raise OptionError(f"The engine 'native' cannot stream this layer: {layers} Use engine='auto' or 'reference'.")
    return ReferenceStream(plan, layers)
