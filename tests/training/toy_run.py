"""The toy task from a command line of its own, for tests that kill it.

python toy_run.py train DIR DATA name=value...
python toy_run.py resume DIR name=value...
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from steploom.errors import SteploomError
from steploom.tasks.registry import TASKS
from steploom.tasks.train import resume, train

TASKS["toy"] = "toy:ToyTask"


def main(command: str, directory: str, *rest: str) -> int:
    options = {name: json.loads(value) for name, value in (word.split("=") for word in rest if "=" in word)}
    try:
        if command == "train":
            model = train("toy", rest[0], directory, **options)
        else:
            model = resume(directory, **options)
    except KeyboardInterrupt as stop:
        print(stop, file=sys.stderr)
        return 130
    except SteploomError as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(model.report))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
