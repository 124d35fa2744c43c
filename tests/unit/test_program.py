"""Which programs may run in a fork of a process that has TensorFlow imported."""

import pytest

from tf_breakages.errors import MachineryError
from tf_breakages.program import Limits, Program, programs

WARM = [
    "import tensorflow as tf",
    '"""Docstring."""\n# comment\nimport os\nfrom json import dumps\nimport tensorflow as tf\nprint(1)',
    "import keras",
    "from tensorflow.keras import layers",
    "import numpy as np, tensorflow as tf",
]
COLD = [
    "print(1)",
    "import os\nos.environ['X'] = '1'\nimport tensorflow",
    "import os\nimport tensorflow\nos.environ['TF_USE_LEGACY_KERAS'] = '1'",
    "import tensorflow, os\nos.environ.setdefault('KERAS_BACKEND', 'jax')",
    "import warnings\nwarnings.simplefilter('ignore')\nimport tensorflow",
    "try:\n    import tensorflow\nexcept ImportError:\n    pass",
    "import tensorflow as tf\ndef f(:",
    "import numpy",
    "import tensorflow_stub",
    "# tfb: with numpy-2\nimport tensorflow",
]


@pytest.mark.parametrize("source", WARM)
def test_warm(source: str) -> None:
    assert not Program(source).cold


@pytest.mark.parametrize("source", COLD)
def test_cold(source: str) -> None:
    assert Program(source).cold


def test_a_reader_has_the_nearest_program_above_that_reads_none() -> None:
    first, second, third = programs(["a", "# tfb: from 1.15\nb", "# tfb: from 1.15, 2.0\nc"])
    assert first.writer is None
    assert second.writer == third.writer == first
    assert third.writers == ("1.15", "2.0")


def test_a_program_names_its_overlays() -> None:
    assert Program("# tfb: with a, b\n# tfb: with c a\nd").overlays == ("a", "b", "c")
    assert Program("# tfb: with a\nb").writers == ()


@pytest.mark.parametrize("source", ["# tfb: from 1.15\nb", "# tfb: from", "# tfb: fro 1.15", "# tfb: with"])
def test_a_directive_that_means_nothing_is_refused(source: str) -> None:
    with pytest.raises(MachineryError):
        programs([source])


def test_the_key_depends_on_source_limits_and_pin() -> None:
    keys = {
        Program("a").key("x"),
        Program("b").key("x"),
        Program("a").key("y"),
        Program("a", Limits(seconds=1)).key("x"),
    }
    assert len(keys) == 4
