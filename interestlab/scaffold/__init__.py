"""A plugin package that installs and passes its own tests, written from the files in ``templates``.

A template is a file as it will stand in the package but for a few names (``my_plugin``, ``MyPlugin``, ...), so that it is
linted and typed like any other code.
"""

import ast
import keyword
import re
from dataclasses import dataclass
from importlib.metadata import requires
from importlib.util import find_spec
from pathlib import Path

from interestlab import __version__
from interestlab.errors import PluginError
from interestlab.registry import DYNAMICS, ENCODERS, FUSION, OBJECTIVES, SOURCES, Registry

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Kind:
    """What differs from kind to kind, beside the code.

    Args:
        registry: of the kind.
        word: the kind in the singular.
        phrase: the same with its article.
        libraries: what the code imports beside interestlab.
        trial: a command line that uses the plugin.
        needs: what `plugins check` has to be told.
    """

    registry: Registry
    word: str
    phrase: str
    libraries: tuple[str, ...]
    trial: str
    needs: str = ""


FIT = "interestlab fit --data.source=simulated --trainer.max_epochs=5"
KINDS = (
    Kind(
        ENCODERS,
        "encoder",
        "An encoder",
        ("numpy", "torch"),
        f"{FIT} --model.encoder=my_plugin --model.dynamics=ewma --model.objective=next_item",
    ),
    Kind(
        FUSION,
        "fusion",
        "A fusion head",
        ("torch",),
        f"{FIT} --model.encoder='{{id: id, brand: id}}' --model.encoder.brand.field=item.brand --model.fusion=my_plugin"
        " --model.dynamics=ewma --model.objective=next_item",
    ),
    Kind(
        DYNAMICS,
        "dynamics",
        "A dynamics",
        ("torch",),
        f"{FIT} --model.encoder=id --model.dynamics=my_plugin --model.objective=next_item",
    ),
    Kind(
        OBJECTIVES,
        "objective",
        "An objective",
        ("torch",),
        f"{FIT} --model.encoder=id --model.dynamics=ewma --model.objective=my_plugin",
    ),
    Kind(
        SOURCES,
        "source",
        "A source",
        ("polars",),
        "interestlab data describe --data.source=my_plugin --data.source.path=events.csv",
        """ --init_args='{"path": "events.csv"}'""",
    ),
)


def files(kind: Kind) -> dict[str, str]:
    """Template -> where it goes."""
    return {
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        "gitignore": ".gitignore",
        "test.yml": ".github/workflows/test.yml",
        "package.py": "src/my_plugin/__init__.py",
        f"{kind.word}.py": f"src/my_plugin/{kind.word}.py",
        f"test_{kind.word}.py": f"tests/test_{kind.word}.py",
    }


def code(kind: Kind, prefix: str = "") -> str:
    """The template of the class; with ``test_``, that of its test."""
    return (TEMPLATES / f"{prefix}{kind.word}.py").read_text("utf-8")


def kind_of(word: str) -> Kind:
    """The kind that is called so, in the singular or the plural.

    Raises:
        PluginError: there is none.
    """
    for kind in KINDS:
        if word in (kind.word, kind.registry.kind):
            return kind
    raise PluginError(f"'{word}' is no kind of plugin; the kinds are {', '.join(kind.word for kind in KINDS)}.")


def class_name(name: str) -> str:
    """``half_life`` -> ``HalfLife``."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def check_name(kind: Kind, name: str) -> None:
    """Whether a plugin, a package and a class can be called so.

    Raises:
        PluginError: they cannot; the message says why.
    """
    if not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII) or name.endswith("_"):
        raise PluginError(f"'{name}' cannot name a plugin; give letters, digits and inner underscores, first a letter.")
    if keyword.iskeyword(name):
        raise PluginError(f"'{name}' is a word of Python's own; choose another name.")
    if name in kind.registry:
        raise PluginError(f"{kind.registry.group} has a plugin '{name}' already; choose another name.")
    spec = find_spec(name)
    if spec is not None and spec.origin is not None:
        raise PluginError(f"'{name}' is a module already ({spec.origin}); choose another name.")
    trees = (ast.parse(text) for text in (code(kind), code(kind, "test_")))
    used = {node.id for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Name)} - {"MyPlugin"}
    if class_name(name) in used:
        raise PluginError(
            f"the class would be called {class_name(name)}, as something that its code or test uses; choose another name."
        )


def write(word: str, name: str, out: Path) -> Path:
    """Write the package ``name`` into a folder of that name inside ``out``.

    Args:
        word: the kind.
        name: of the plugin.
        out: where to; made where it is not there.

    Returns:
        the folder.

    Raises:
        PluginError: there is no such kind, the name will not do, or the folder is there.
    """
    kind = kind_of(word)
    check_name(kind, name)
    folder = out / name
    if folder.exists():
        raise PluginError(f"{folder} is there already, and is left as it is; give another name, or another --out.")
    names = replacements(kind, name)
    pattern = re.compile("|".join(sorted(map(re.escape, names), key=len, reverse=True)))
    for template, place in files(kind).items():
        text = (TEMPLATES / template).read_text("utf-8")
        # In one pass: a name that holds a placeholder is not replaced again.
        filled = pattern.sub(lambda found: names[found.group()], text)
        path = folder / place.replace("my_plugin", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(filled, "utf-8")
    return folder


def replacements(kind: Kind, name: str) -> dict[str, str]:
    """Placeholder -> what stands there in the package."""
    named = {"my_plugin": name, "my-plugin": name.replace("_", "-"), "MyPlugin": class_name(name)}
    (plugin,) = (node for node in ast.parse(code(kind)).body if isinstance(node, ast.ClassDef))
    summary = (ast.get_docstring(plugin) or "").partition("\n")[0]
    return named | {
        "my_kind": kind.word,
        "my_group": kind.registry.kind,
        '"MY_DEPENDENCIES"': ",\n    ".join(f'"{need}"' for need in dependencies(kind)),
        "MY_SENTENCE": f"{kind.phrase} of interestlab",
        "MY_SUMMARY": summary[:1].lower() + summary[1:],
        "MY_CHECK": f"interestlab plugins check {name}{kind.needs}",
        "MY_TRIAL": kind.trial.replace("my_plugin", name),
    }


def dependencies(kind: Kind) -> list[str]:
    """This series of interestlab, and the libraries in the ranges that it needs itself."""
    major, minor = __version__.split(".")[:2]
    held = {re.split(r"[^\w.-]", need)[0]: need for need in requires("interestlab") or []}
    return [f"interestlab>={major}.{minor},<{major}.{int(minor) + 1}", *(held[name] for name in kind.libraries)]


def next_steps(word: str, name: str, folder: Path) -> str:
    """What to do with a package that was just written."""
    kind = kind_of(word)
    names = replacements(kind, name)
    return "\n".join(
        [
            f"{folder} is written: the class is in {folder / 'src' / name / f'{kind.word}.py'}. Next:",
            "",
            f"    pip install -e '{folder}[test]'",
            f"    pytest {folder}",
            f"    {names['MY_CHECK']}",
            f"    {names['MY_TRIAL']}",
        ]
    )
