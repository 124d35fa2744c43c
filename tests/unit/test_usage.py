"""Which symbols a program uses, and what counts as an answer."""

from pathlib import Path

import pytest

from tf_breakages import usage
from tf_breakages.breakage import Breakage, Cell

USES = {
    "import tensorflow as tf\ntf.train.AdamOptimizer(0.1)": "tf.train.AdamOptimizer",
    "import tensorflow\ntensorflow.placeholder(1)": "tf.placeholder",
    "import tensorflow as tf\nslim = tf.contrib.slim\nslim.conv2d(1)": "tf.contrib.slim.conv2d",
    "import tensorflow.contrib.slim as slim\nslim.arg_scope": "tf.contrib.slim.arg_scope",
    "from tensorflow.contrib import slim": "tf.contrib.slim",
    "from tensorflow.contrib.rnn import BasicLSTMCell as C": "tf.contrib.rnn.BasicLSTMCell",
    "import tensorflow as tf\nFLAGS = tf.app.flags.FLAGS\nFLAGS.size": "tf.app.flags.FLAGS",
    "from tensorflow.python.ops import array_ops\narray_ops.stack": "tensorflow.python.ops.array_ops.stack",
    "from keras import backend as K\ndef f():\n    return K.eval(1)": "keras.backend.eval",
}


@pytest.mark.parametrize("source", USES)
def test_a_symbol_is_used_through_the_imports(source: str) -> None:
    assert USES[source] in usage.used(source)


@pytest.mark.parametrize(
    "source",
    [
        "print('tf.placeholder')  # tf.placeholder",
        "import tensorflow.compat.v1 as tf\ntf.placeholder(1)",
        "import tensorflow as tf\ntf = object()\ntf.placeholder",
        "tf.placeholder(1)",
        "import tensorflow as tf\ntf.placeholder(",
    ],
)
def test_a_name_that_means_something_else_is_not_used(source: str) -> None:
    assert "tf.placeholder" not in usage.used(source)


def _breakage(before_on_2: str, fix_on_2: str) -> Breakage:
    """A notebook on `tf.placeholder` whose programs end so on every release after 1.15."""
    order = usage.survey()[0]

    def cell(number: int, role: str, later: str) -> Cell:
        outcomes = {
            (None, pin): {"status": "ok" if pin == "1.15" else later, "stdout": "1\n", "result": None} for pin in order
        }
        source = "import tensorflow as tf\nprint(tf.placeholder)" if role == "before" else "print(1)"
        return Cell(number, "code", source, frozenset({role}), outcomes)  # type: ignore[arg-type]

    cells = (cell(2, "before", before_on_2), cell(3, "fix", fix_on_2))
    return Breakage(Path("topic/slug.ipynb"), cells, {"baseline": "1.15"}, order)


def test_a_site_is_answered_where_the_program_fails_and_a_fix_holds() -> None:
    assert "tf.placeholder" in usage.answered([_breakage("error", "ok")])["2.0"]
    assert usage.answered([_breakage("error", "error")])["2.0"] == set()
    assert usage.answered([_breakage("ok", "ok")])["2.0"] == set()


def test_the_share_is_of_call_sites() -> None:
    sites = next(symbol.sites for symbol in usage.survey()[1] if symbol.name == "tf.placeholder")
    share = next(share for share in usage.shares([_breakage("error", "ok")]) if share.release == "2.15")
    assert share.answered == sites > 0
    assert share.part == sites / share.broken
    assert "tf.placeholder" not in [symbol.name for symbol in usage.unanswered([_breakage("error", "ok")], "2.15")]
    assert [share for share in usage.shares([]) if share.release == "1.15"] == []  # nothing is broken there
