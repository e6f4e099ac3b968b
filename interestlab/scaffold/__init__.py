"""Write a plugin package that installs and passes its own tests, from the files in ``templates``.

A template is a complete file of the package with placeholder names (``my_plugin``, ``MyPlugin``, ...), so that it is linted and
type-checked like any other code.
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
    """The differences between the packages of the five kinds, besides their code.

    Args:
        registry: registry of the kind.
        word: name of the kind in the singular.
        phrase: name of the kind with its article.
        libraries: libraries that the code imports besides interestlab.
        trial: a command line that uses the plugin.
        check_options: options that `plugins check` needs.
    """

    registry: Registry
    word: str
    phrase: str
    libraries: tuple[str, ...]
    trial: str
    check_options: str = ""


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


def template_paths(kind: Kind) -> dict[str, str]:
    """Return the path in the package of each template.

    Args:
        kind: kind of the plugin.

    Returns:
        path by name of the template.
    """
    return {
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        "gitignore": ".gitignore",
        "test.yml": ".github/workflows/test.yml",
        "package.py": "src/my_plugin/__init__.py",
        f"{kind.word}.py": f"src/my_plugin/{kind.word}.py",
        f"test_{kind.word}.py": f"tests/test_{kind.word}.py",
    }


def read_template(kind: Kind, prefix: str = "") -> str:
    """Read the template of the class or, with the prefix ``test_``, of its tests.

    Args:
        kind: kind of the plugin.
        prefix: empty or ``test_``.

    Returns:
        the template.
    """
    return (TEMPLATES / f"{prefix}{kind.word}.py").read_text("utf-8")


def find_kind(word: str) -> Kind:
    """Find a kind by its name in the singular or plural.

    Args:
        word: the name.

    Returns:
        the kind.

    Raises:
        PluginError: there is no such kind.
    """
    for kind in KINDS:
        if word in (kind.word, kind.registry.kind):
            return kind
    raise PluginError(f"'{word}' is not a kind of plugin; the kinds are {', '.join(kind.word for kind in KINDS)}.")


def class_name(name: str) -> str:
    """Convert a plugin name to a class name: ``half_life`` to ``HalfLife``.

    Args:
        name: name of the plugin.

    Returns:
        name of the class.
    """
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def check_name(kind: Kind, name: str) -> None:
    """Check that a name is usable for the plugin, its package and its class.

    Args:
        kind: kind of the plugin.
        name: name of the plugin.

    Raises:
        PluginError: the name is not usable.
    """
    if not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII) or name.endswith("_"):
        raise PluginError(
            f"'{name}' cannot be the name of a plugin; use letters, digits and underscores, starting with a letter."
        )
    if keyword.iskeyword(name):
        raise PluginError(f"'{name}' is a Python keyword; choose another name.")
    if name in kind.registry:
        raise PluginError(f"{kind.registry.group} already has a plugin '{name}'; choose another name.")
    spec = find_spec(name)
    if spec is not None and spec.origin is not None:
        raise PluginError(f"a module '{name}' already exists ({spec.origin}); choose another name.")
    trees = (ast.parse(text) for text in (read_template(kind), read_template(kind, "test_")))
    used = {node.id for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Name)} - {"MyPlugin"}
    if class_name(name) in used:
        raise PluginError(f"the class name {class_name(name)} is already used in its code or tests; choose another name.")


def write(word: str, name: str, out: Path) -> Path:
    """Write the package ``name`` into a folder of that name inside ``out``.

    Args:
        word: name of the kind.
        name: name of the plugin.
        out: parent folder; created if it does not exist.

    Returns:
        folder of the package.

    Raises:
        PluginError: there is no such kind, the name is not usable, or the folder exists.
    """
    kind = find_kind(word)
    check_name(kind, name)
    folder = out / name
    if folder.exists():
        raise PluginError(f"{folder} already exists and was not changed; choose another name or another --out.")
    names = replacements(kind, name)
    pattern = re.compile("|".join(sorted(map(re.escape, names), key=len, reverse=True)))
    for template, target in template_paths(kind).items():
        text = (TEMPLATES / template).read_text("utf-8")
        # In one pass, so that a placeholder within the plugin's name is not replaced again.
        filled = pattern.sub(lambda match: names[match.group()], text)
        path = folder / target.replace("my_plugin", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(filled, "utf-8")
    return folder


def replacements(kind: Kind, name: str) -> dict[str, str]:
    """Return the text that replaces each placeholder.

    Args:
        kind: kind of the plugin.
        name: name of the plugin.

    Returns:
        text by placeholder.
    """
    named = {"my_plugin": name, "my-plugin": name.replace("_", "-"), "MyPlugin": class_name(name)}
    (plugin,) = (node for node in ast.parse(read_template(kind)).body if isinstance(node, ast.ClassDef))
    summary = (ast.get_docstring(plugin) or "").partition("\n")[0]
    return named | {
        "my_kind": kind.word,
        "my_group": kind.registry.kind,
        '"MY_DEPENDENCIES"': ",\n    ".join(f'"{need}"' for need in dependencies(kind)),
        "MY_SENTENCE": f"{kind.phrase} of interestlab",
        "MY_SUMMARY": summary[:1].lower() + summary[1:],
        "MY_CHECK": f"interestlab plugins check {name}{kind.check_options}",
        "MY_TRIAL": kind.trial.replace("my_plugin", name),
    }


def dependencies(kind: Kind) -> list[str]:
    """Return the requirements of the package: this series of interestlab, and libraries in the ranges that interestlab has.

    Args:
        kind: kind of the plugin.

    Returns:
        requirement strings.
    """
    major, minor = __version__.split(".")[:2]
    requirements = {re.split(r"[^\w.-]", need)[0]: need for need in requires("interestlab") or []}
    return [f"interestlab>={major}.{minor},<{major}.{int(minor) + 1}", *(requirements[name] for name in kind.libraries)]


def next_steps(word: str, name: str, folder: Path) -> str:
    """Describe what to do with a new package.

    Args:
        word: name of the kind.
        name: name of the plugin.
        folder: folder of the package.

    Returns:
        text to print.
    """
    kind = find_kind(word)
    names = replacements(kind, name)
    return "\n".join(
        [
            f"Wrote {folder}. The class is in {folder / 'src' / name / f'{kind.word}.py'}. Next steps:",
            "",
            f"    pip install -e '{folder}[test]'",
            f"    pytest {folder}",
            f"    {names['MY_CHECK']}",
            f"    {names['MY_TRIAL']}",
        ]
    )
