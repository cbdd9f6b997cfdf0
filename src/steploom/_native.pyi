"""The compiled core; built from native/ by `pip install`."""

def version() -> str:
    """The version of the package that this core was built with."""

def instruction_sets() -> list[str]:
    """The vector instruction sets that this processor and its operating system support, oldest first."""
