"""The registry, with distributions that importlib.metadata discovers, and the imports of the plugins' tests."""

import ast
import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from interestlab.contract import Encoder, Source
from interestlab.errors import PluginError
from interestlab.install_hints import DISTRIBUTIONS, LIBRARIES, library_hint
from interestlab.registry import REGISTRIES, Registry, limit_note

ROOT = Path(__file__).parents[1]

FIRST_PARTY = {
    kind: names.split()
    for kind, names in {
        "encoders": "adalora adapter behaviour bitfit features frozen full ia3 id image lora peft side static",
        "fusion": "attention bottleneck concat delta film gated transformer",
        "dynamics": "bsarec core evolution ewma gru hybrid lru mamba momentum multi_interest ode selective_momentum "
        "time_transformer transformer",
        "objectives": "bpr contrastive fgm forecast gbce interest next_item pgd rdrop sampled_softmax",
        "sources": "amazon files recbole simulated taobao",
    }.items()
}

PLUGIN = """
from interestlab.contract import Encoder
class {name}(Encoder):
    fields = ("item.title",)
    def forward(self, inputs): ...
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Put a distribution on sys.path: ``install("dist", {"name": "module:Class"}, module="source text")``."""
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    folder_numbers = iter(range(9))

    def install(dist, claims, version="1.0", kind="encoders", **modules):
        root = tmp_path / f"site{next(folder_numbers)}"
        info = root / f"{dist}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: {version}\n")
        lines = [f"{name} = {value}" for name, value in claims.items()]
        (info / "entry_points.txt").write_text("\n".join([f"[interestlab.{kind}]", *lines]))
        for module, text in modules.items():
            (root / f"{module}.py").write_text(text)
        monkeypatch.syspath_prepend(str(root))

    return install


@pytest.fixture
def encoders():
    return Registry("encoders", "Encoder")


@pytest.mark.parametrize("kind", FIRST_PARTY)
def test_no_first_party_name_is_lost(kind):
    (registry,) = (r for r in REGISTRIES.values() if r.kind == kind)
    own = {n for n in registry.names() if any(ep.value.startswith("interestlab_") for ep in registry.entry_points(n))}
    assert own >= set(FIRST_PARTY[kind])


@pytest.mark.parametrize(("kind", "name"), [(k, n) for k, names in FIRST_PARTY.items() for n in names])
def test_first_party_loads_from_its_namespace(kind, name):
    cls = getattr(importlib.import_module(f"interestlab.{kind}"), name)
    (registry,) = (r for r in REGISTRIES.values() if r.kind == kind)
    assert cls is registry.load(name)
    assert registry.path(cls) == f"interestlab.{kind}.{name}"


def test_listing_imports_nothing():
    code = """
import sys
from interestlab.registry import REGISTRIES
import interestlab.encoders, interestlab.sources
assert all(r.names() for r in REGISTRIES.values()) and "id" in dir(interestlab.encoders)
heavy = [m for m in sys.modules if m.split(".")[0] in ("torch", "lightning", "polars", "numpy", "transformers")]
plugins = [m for m in sys.modules if m.startswith("interestlab_") and "finder" not in m]
print(heavy, plugins)
"""
    completed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert completed.stdout.strip() == "[] []"


def test_a_plugin_is_listed_and_loaded(install, encoders):
    install("acme", {"acme": "acme_good:Acme"}, acme_good=PLUGIN.format(name="Acme"))
    assert "acme" in encoders
    assert "acme" in encoders.names()
    cls = encoders.load("acme")
    assert issubclass(cls, Encoder)
    assert encoders.path(cls) == "interestlab.encoders.acme"
    assert encoders.path(Encoder) is None


def test_an_unknown_name_suggests_the_most_similar(install, encoders):
    install("acme", {"wordvectors": "nowhere:X"})
    with pytest.raises(PluginError, match=r"no interestlab.encoders plugin is called 'wordvector'.* mean 'wordvectors'"):
        encoders.load("wordvector")


def test_an_unknown_name_lists_the_installed_plugins(encoders):
    with pytest.raises(PluginError, match=r"Installed: .*\bfull\b") as raised:
        encoders.load("qqqqqqqq")
    assert "Did you mean" not in str(raised.value)


def test_without_plugins():
    with pytest.raises(PluginError, match="Installed: none"):
        Registry("nothing_of_this_kind", "Encoder").load("x")


@pytest.mark.parametrize(("kind", "name"), [("encoders", "lora"), ("fusion", "transformer"), ("sources", "amazon")])
def test_an_absent_first_party_plugin_names_its_distribution(monkeypatch, kind, name):
    monkeypatch.setattr("interestlab.registry.entry_points", lambda group: [])
    monkeypatch.setattr("interestlab.registry._is_installed", lambda name: False)
    with pytest.raises(PluginError, match=rf"'{name}'.* not installed: pip install interestlab-{kind}$"):
        Registry(kind, "Encoder").load(name)


def test_a_hidden_first_party_plugin_has_no_install_hint(monkeypatch):
    monkeypatch.setenv("INTERESTLAB_PLUGINS", "interestlab-fusion")
    with pytest.raises(PluginError, match=r"called 'lora'.*INTERESTLAB_PLUGINS") as raised:
        Registry("encoders", "Encoder").load("lora")
    assert "pip install" not in str(raised.value)


@pytest.mark.parametrize(
    ("module", "package"), [("PIL.Image", "interestlab-encoders[image]"), ("peft", "interestlab-encoders")]
)
def test_an_absent_library_names_the_package_that_requires_it(install, encoders, module, package):
    text = f"raise ModuleNotFoundError('No module named x', name='{module}')"
    install("bad", {"broken": "acme_hint:Acme"}, acme_hint=text)
    with pytest.raises(PluginError, match="does not import") as raised:
        encoders.load("broken")
    assert str(raised.value).endswith(f"pip install '{package}'")


def test_an_unknown_library_has_no_hint():
    assert library_hint(ModuleNotFoundError("No module named 'x'", name="x")) == library_hint(ValueError("PIL")) == ""


def test_hints_name_packages_that_exist():
    pyprojects = {"interestlab": ROOT / "pyproject.toml"} | {
        package: ROOT / "plugins" / kind / "pyproject.toml" for kind, package in DISTRIBUTIONS.items()
    }
    assert all(file.exists() for file in pyprojects.values())
    modules = {"sklearn": "scikit-learn", "ot": "POT", "PIL": "pillow", "prometheus_client": "prometheus-client"}
    for module, package in LIBRARIES.items():
        name, _, extra = package.partition("[")
        project = tomllib.loads(pyprojects[name].read_text("utf-8"))["project"]
        needs = project["optional-dependencies"][extra.rstrip("]")] if extra else project["dependencies"]
        assert any(need.startswith(modules.get(module, module)) for need in needs), module


def test_two_distributions_claim_one_name(install, encoders):
    install("first", {"twin": "twin_a:A"}, twin_a=PLUGIN.format(name="A"))
    install("second", {"twin": "twin_b:B"}, version="2.5", twin_b=PLUGIN.format(name="B"))
    with pytest.raises(PluginError) as raised:
        encoders.load("twin")
    assert all(part in str(raised.value) for part in ("first 1.0", "second 2.5", "twin_a:A", "twin_b:B"))
    assert "twin" in encoders.names()


def test_one_distribution_seen_twice_is_one_claim(install, encoders):
    for _ in range(2):
        install("acme", {"once": "once_only:Acme"}, once_only=PLUGIN.format(name="Acme"))
    assert encoders.load("once").__name__ == "Acme"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("raise RuntimeError('no\\n  such   GPU')", "RuntimeError: no such GPU"),
        ("import a_module_that_is_not_there", "ModuleNotFoundError: No module named 'a_module_that_is_not_there'"),
        ("def (", "SyntaxError"),
        ("", "AttributeError"),
    ],
)
def test_a_broken_plugin_is_reported_in_one_line_and_others_load(install, encoders, text, reason):
    install("bad", {"broken": "acme_bad:Acme"}, acme_bad=text)
    install("acme", {"fine": "acme_fine:Acme"}, acme_fine=PLUGIN.format(name="Acme"))
    with pytest.raises(PluginError) as raised:
        encoders.load("broken")
    message = str(raised.value)
    assert "'broken' (acme_bad:Acme, from bad 1.0) does not import" in message
    assert reason in message
    assert "\n" not in message
    assert {"broken", "fine"} <= set(encoders.names())
    assert encoders.load("fine").__name__ == "Acme"


def test_a_name_that_is_not_an_identifier(install, encoders):
    install("acme", {"my-encoder": "acme_dash:Acme"}, acme_dash=PLUGIN.format(name="Acme"))
    with pytest.raises(PluginError, match=r"'my-encoder' .from acme 1.0. is not a Python identifier"):
        encoders.load("my-encoder")


@pytest.mark.parametrize("text", ["class Acme: ...", "def Acme(): ...", "from interestlab.contract import Source as Acme"])
def test_a_class_of_another_kind(install, encoders, text):
    install("acme", {"odd": "acme_odd:Acme"}, acme_odd=text)
    with pytest.raises(PluginError, match=r"is not a subclass of interestlab.contract.Encoder"):
        encoders.load("odd")


def test_namespace_attributes(install, monkeypatch):
    install("bad", {"bad_one": "ns_bad:X"}, ns_bad="1/0")
    fresh = Registry("encoders", "Encoder")
    namespace = importlib.import_module("interestlab.encoders")
    monkeypatch.setattr(namespace, "_registry", fresh)
    assert "id" in dir(namespace)
    assert not hasattr(namespace, "absent")
    with pytest.raises(AttributeError, match=r"'ful'.*mean 'full'"):
        namespace.ful  # noqa: B018
    with pytest.raises(ImportError, match="division by zero"):
        namespace.bad_one  # noqa: B018
    with pytest.raises(AttributeError):
        namespace.__path__  # noqa: B018
    with pytest.raises(ImportError):
        exec("from interestlab.encoders import absent")


def test_specs_name_the_plugin(install, monkeypatch):
    class Own(Source):
        def __init__(self, path: str, columns: dict | None = None) -> None: ...

        def read(self): ...

    spec = Own("a.csv", columns={"user_id": Path("u")}).spec
    assert spec["class_path"].endswith("Own")
    assert spec["init_args"] == {"path": "a.csv", "columns": {"user_id": "u"}}


# ---- INTERESTLAB_PLUGINS


@pytest.fixture
def two_distributions(install):
    install("Acme_Words", {"acme": "limit_acme:Acme"}, limit_acme=PLUGIN.format(name="Acme"))
    install("other", {"other": "limit_other:Other"}, limit_other=PLUGIN.format(name="Other"))


@pytest.mark.parametrize("limit", ["acme-words", "Acme_Words", " acme.words , nowhere", "acme-words,,"])
def test_a_limit_hides_the_plugins_of_other_distributions(two_distributions, encoders, monkeypatch, limit):
    monkeypatch.setenv("INTERESTLAB_PLUGINS", limit)
    assert encoders.names() == ["acme"]
    assert encoders.load("acme").__name__ == "Acme"
    with pytest.raises(
        PluginError, match=r"called 'other'.* Installed: acme\. INTERESTLAB_PLUGINS limits plugins to those of acme"
    ):
        encoders.load("other")


@pytest.mark.parametrize("limit", ["", " ", ",", None])
def test_no_limit(two_distributions, encoders, monkeypatch, limit):
    monkeypatch.delenv("INTERESTLAB_PLUGINS", raising=False)
    if limit is not None:
        monkeypatch.setenv("INTERESTLAB_PLUGINS", limit)
    assert {"acme", "other", "id"} <= set(encoders.names())
    assert limit_note() == ""


def test_a_limit_names_distributions_that_are_not_installed(two_distributions, monkeypatch):
    monkeypatch.setenv("INTERESTLAB_PLUGINS", "acme-words, nowhere")
    assert (
        limit_note() == "INTERESTLAB_PLUGINS limits plugins to those of acme-words, nowhere, of which nowhere is not installed."
    )


def test_a_limit_resolves_a_name_that_two_claim(install, encoders, monkeypatch):
    install("first", {"twin": "limit_a:A"}, limit_a=PLUGIN.format(name="A"))
    install("second", {"twin": "limit_b:B"}, limit_b=PLUGIN.format(name="B"))
    monkeypatch.setenv("INTERESTLAB_PLUGINS", "second")
    assert encoders.load("twin").__name__ == "B"


# ---- imports of tests, which [tool.importlinter] in pyproject.toml does not check


@pytest.mark.parametrize("kind", FIRST_PARTY)
def test_tests_of_plugins_import_the_contract_and_the_kit(kind):
    allowed = {f"interestlab.{module}" for module in ("batch", "contract", "errors", "step", "testing")}
    for file in sorted((ROOT / "plugins" / kind / "tests").rglob("*.py")):
        tree = ast.parse(file.read_text("utf-8"))
        imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        imported |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        ours = {module for module in imported if module.startswith("interestlab")}
        assert not {m for m in ours if m not in allowed and not m.startswith(f"interestlab_{kind}")}, file
