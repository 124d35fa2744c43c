"""`python -m tf_breakages` is `tfb`."""

from tf_breakages.cli import app

app(prog_name="tfb")
