"""The package's structure, read from its source alone: who may import whom, what stays light, and the deviations' tags."""

import ast
import functools
import io
import re
import tokenize
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "pir_tf"
README = PACKAGE.parent / "README.md"

FLOORS = {
    **dict.fromkeys(("", "errors", "commands", "images", "objective_names", "pretrained", "presets", "config"), 0),
    **dict.fromkeys(("runs", "statistics"), 1),
    **dict.fromkeys(("training", "data"), 2),
    **dict.fromkeys(("objectives", "interactions"), 3),
    **dict.fromkeys(("people", "gan"), 4),
    "estimator": 5,
    "tuning": 6,
    "evaluation": 7,
    "report": 8,
    "serving": 9,
    "experiments": 10,
    "paper": 11,
    "cli": 12,
}
"""Of each module or room of the package; the package's own `__init__` is the empty name."""

TRUTH = ("pir_tf.objectives", "pir_tf.interactions.simulated", "pir_tf.people.simulated_raters")
"""What simulated people like: no training may see it."""

PLAIN = ("config", "statistics", "people", "report", "paper")
"""Rooms that never load TensorFlow."""

HEAVY = {"tensorflow", "keras", "numpy", "scipy", "pandas", "matplotlib"}


def module_name(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


@functools.cache
def trees():
    """The parsed modules by name."""
    return {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}


def statements(tree, *, anywhere):
    """The import statements of a module: everywhere in it, or only those that run when it is imported."""
    waiting = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
            continue
        later = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if anywhere or not (later or isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)):
            waiting.extend(ast.iter_child_nodes(node))


def imports(name, *, anywhere=True):
    """Modules that a module imports, by their full names."""
    found = set()
    for node in statements(trees()[name], anywhere=anywhere):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
            continue
        assert node.level == 0, f"{name} imports by a relative name"
        below = {f"{node.module}.{alias.name}" for alias in node.names}
        found.update(below & MODULES.keys() or {node.module})
        if node.module in MODULES and not below <= MODULES.keys():
            found.add(node.module)
    return found


def ours(names):
    return {name for name in names if name.split(".")[0] == "pir_tf"}


def reached(start, *, anywhere=True):
    """Modules, ours and others', that a module imports through ours at any depth, with itself and the packages above.

    Everywhere in it, or only what importing it loads.
    """
    seen, waiting = set(), [start]
    while waiting:
        parts = waiting.pop().split(".")
        new = {".".join(parts[: i + 1]) for i in range(len(parts))} - seen
        seen |= new
        waiting += [found for name in new & MODULES.keys() for found in imports(name, anywhere=anywhere)]
    return seen


def part(name):
    """The module's name or folder directly below the package, which has a layer."""
    return (name.split(".") + [""])[1]


def loads(name):
    """What is heavy of that which importing a module loads."""
    return {found.split(".")[0] for found in reached(name, anywhere=False)} & HEAVY


def test_every_module_has_a_floor_and_every_import_a_module():
    assert {part(name) for name in MODULES} <= FLOORS.keys()
    for name in MODULES:
        assert ours(imports(name)) <= MODULES.keys(), name


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_only_from_lower_floors_or_its_own_room(name):
    for imported in ours(imports(name)):
        above, below = FLOORS[part(name)], FLOORS[part(imported)]
        # On the ground floor lie single files, which may use each other.
        allowed = below < above or part(imported) == part(name) or above == below == 0
        assert allowed, f"{name} (floor {above}) imports {imported} (floor {below})"


def test_no_module_imports_itself_in_a_circle():
    def visit(name, path):
        assert name not in path, " imports ".join([*path, name])
        if name not in done:
            for imported in sorted(ours(imports(name)) - {"pir_tf"}):
                visit(imported, [*path, name])
            done.add(name)

    done = set()
    for name in MODULES:
        visit(name, [])


def test_the_estimator_and_the_tuner_cannot_see_the_simulated_truth():
    """The import rule is the scientific rule: through no module of ours, at any depth."""
    for start in MODULES:
        if part(start) in ("estimator", "tuning"):
            found = {module for module in reached(start) if module.startswith(TRUTH)}
            assert not found, f"{start} reaches {found}"
    assert any(module.startswith(TRUTH) for module in reached("pir_tf.experiments.interactions_stage"))


PACKAGES = [name for name, path in MODULES.items() if path.name == "__init__.py"]
ENDS = ("pir_tf.config", "pir_tf.cli", "pir_tf.experiments.run", "pir_tf.serving.export")
"""What answers `--help` at once."""
CLIENT = tuple(f"pir_tf.serving.{name}" for name in ("client", "generate", "client_rest", "canary"))


@pytest.mark.parametrize("name", [*PACKAGES, *ENDS, *CLIENT])
def test_the_plain_ends_load_nothing_heavy_and_the_serving_client_numpy_alone(name):
    assert loads(name) <= ({"numpy"} if name in CLIENT else set())


def test_the_plain_rooms_know_no_tensorflow():
    for name in MODULES:
        if part(name) in PLAIN:
            assert not (loads(name) | imports(name)) & {"tensorflow", "keras"}, name


def test_what_is_heavy_is_seen():
    """The checks above are worth something: they find what is there."""
    assert {"tensorflow", "keras"} <= loads("pir_tf.gan.acgan") and "tensorflow" in imports(
        "pir_tf.serving.client_grpc"
    )
    assert "tensorflow" in imports("pir_tf.training.devices") and "tensorflow" not in loads("pir_tf.training.devices")


def test_the_house_has_one_front_door_and_files_of_one_idea():
    top = {path.name for path in PACKAGE.glob("*.py")} - {"__init__.py", "__main__.py"}
    assert len(top) <= 8, sorted(top)
    lengths = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in MODULES.items()}
    assert {name: length for name, length in lengths.items() if length > 450} == {}


def test_every_module_says_what_it_is():
    assert [name for name, tree in trees().items() if not ast.get_docstring(tree)] == []


def test_the_deviations_of_the_code_are_those_of_the_readme():
    section = README.read_text(encoding="utf-8").partition("\n## Deviations\n")[2].partition("\n## ")[0]
    listed = re.findall(r"^\|\s*(D\d+)\s*\|", section, flags=re.MULTILINE)
    assert listed and len(listed) == len(set(listed)), "README.md has a table of deviations, and lists each once"
    found = set()
    for path in MODULES.values():
        for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline):
            if token.type in (tokenize.STRING, tokenize.COMMENT):
                # Ranges ("D1 to D21") stand for the list as a whole, and not for a place in the code.
                found.update(re.findall(r"\bD\d+\b", re.sub(r"D\d+ to\s+D\d+", "", token.string)))
    assert found == set(listed)
