"""Our templates. They escape whatever is not marked as HTML, so an output is never more than text."""

from functools import cache

import jinja2


@cache
def environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("tf_breakages.site"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )


def render(name: str, **context: object) -> str:
    """A template's HTML, made of a context."""
    return environment().get_template(name).render(context)
