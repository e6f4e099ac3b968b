"""One HTML page that loads nothing: its template, and how figures, images and settings are embedded in it."""

import base64
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from interestlab.errors import DataError


@contextmanager
def optional_libraries(*libraries: str) -> Iterator[None]:
    """Report a missing library of the ``report`` extra in one line.

    Args:
        *libraries: top-level modules that the imports in the block may lack.

    Raises:
        DataError: one of them is not installed; it names the command that installs it.
    """
    try:
        yield
    except ModuleNotFoundError as err:
        missing = str(err.name).partition(".")[0]
        if missing not in libraries:
            raise
        raise DataError(f"the report needs {missing}: pip install 'interestlab[report]'") from err


def render(template: str, **variables: Any) -> str:
    """Render a Jinja template. Every variable is escaped, and a variable that is not defined is an error.

    Args:
        template: text of the template.
        **variables: variables of the template.

    Returns:
        HTML.
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(template).render(**variables)


def script_json(value: Any) -> str:
    """Encode a value as JSON that is safe inside a ``<script>`` element, whatever text it contains.

    Args:
        value: plain values, or a plotly figure.

    Returns:
        JSON in which the characters that HTML or JavaScript interpret are escaped.
    """
    plain = value.to_plotly_json() if hasattr(value, "to_plotly_json") else value
    encoded = json.dumps(plain, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        encoded = encoded.replace(character, f"\\u{ord(character):04x}")
    return encoded


def base64_images(images: Mapping[str, bytes]) -> dict[str, str]:
    """Encode images for ``data:`` URIs.

    Args:
        images: files by name.

    Returns:
        Base64 text by name.
    """
    return {name: base64.b64encode(image).decode() for name, image in images.items()}


def replace_pngs(folder: Path, images: Mapping[str, bytes]) -> None:
    """Write PNGs into a folder and delete all other PNGs there, which an earlier report may have left.

    Args:
        folder: created if it does not exist.
        images: PNG files by name.
    """
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    for name, image in images.items():
        (folder / name).write_bytes(image)


def flatten(value: Any, name: str = "") -> dict[str, str]:
    """Flatten nested settings into dotted names and texts, for a table of two columns.

    Args:
        value: mappings, lists and plain values.
        name: prefix of the names.

    Returns:
        Text by dotted name.
    """
    if isinstance(value, Mapping) and value:
        return {k: v for key, inner in value.items() for k, v in flatten(inner, f"{name}.{key}".lstrip(".")).items()}
    if isinstance(value, list):
        return {name: ", ".join(json.dumps(v, ensure_ascii=False) if isinstance(v, dict | list) else str(v) for v in value)}
    return {name: str(value)}
