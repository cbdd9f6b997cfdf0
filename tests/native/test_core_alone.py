"""The tests of the core that need no Python, as it is and under sanitizers; see CONTRIBUTING.md."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*words: str | Path) -> str:
    # Unwritten memory is NaN, which no comparison lets pass.
    environment = os.environ | {"ASAN_OPTIONS": "malloc_fill_byte=255:max_malloc_fill_size=100000000"}
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("cmake") is None, reason="CMake builds the tests, and is not there")
@pytest.mark.parametrize("sanitizer", ["", "address,undefined", "thread"])
def test_the_native_tests_pass(sanitizer: str, tmp_path: Path) -> None:
    run("cmake", "-S", ROOT, "-B", tmp_path, "-DSTEPLOOM_NATIVE_TESTS=ON", f"-DSTEPLOOM_SANITIZE={sanitizer}")
    run("cmake", "--build", tmp_path)
    assert ", 0 failures" in run(tmp_path / "native_tests")
