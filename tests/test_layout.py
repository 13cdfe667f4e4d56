"""The plan of the house: which package may import which, read from the import statements themselves."""

import ast
from collections.abc import Mapping
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("dedup", "pipeline", "shards")
MAX_LINES = 250
MAX_LEVELS = 8
WITHOUT_ALL = {  # modules that do not list yet what is public in them
    "pipeline.corpus.schemas",
    "pipeline.fetch.archives.captures",
    "pipeline.fetch.outcome",
    "pipeline.links.urls",
    "pipeline.settings",
    "pipeline.submissions.deferred",
    "pipeline.submissions.sources",
    "pipeline.submissions.url_lists",
}

GROUND = {"errors", "settings"}
STORAGE = GROUND | {"corpus"}
MAY_IMPORT = {  # of `pipeline`; `dedup` and `shards` stand below
    "errors": set(),
    "settings": set(),
    "command": {"errors"},
    "configuration": GROUND,
    "corpus": {"errors"},
    "media_type": set(),
    "templates": set(),
    "extraction": GROUND | {"media_type"},
    "links": STORAGE,
    "batch": STORAGE,
    "language": STORAGE | {"dedup"},
    "quality": STORAGE,
    "fetch": STORAGE | {"links", "media_type"},
    "contamination": STORAGE | {"batch", "command", "configuration", "templates", "dedup", "shards"},
    "report": STORAGE | {"batch", "language", "templates", "shards"},
    "demo": STORAGE | {"batch", "links", "templates"},
    "submissions": STORAGE | {"batch", "fetch"},
    "status": STORAGE | {"batch", "command", "links", "report"},
    "stages": STORAGE
    | {"batch", "command", "contamination", "extraction", "fetch", "language", "links", "quality", "report"}
    | {"submissions", "dedup", "shards"},
    "crawl": STORAGE | {"batch", "command", "configuration", "demo", "stages"},
    "show_settings": GROUND | {"command", "configuration"},
    "__main__": {"command", "errors"},  # the subcommands are imported by name
    "dedup": set(),
    "shards": set(),
}


def modules() -> dict[str, Path]:
    """Every module of the packages by its dotted name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


def imports(path: Path, known: Mapping[str, Path]) -> set[str]:
    """The modules among `known` that a file imports, inside its functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in known else str(node.module))
    return found & set(known)


def graph() -> dict[str, set[str]]:
    known = modules()
    return {name: imports(path, known) - {name} for name, path in known.items()}


def public(path: Path) -> set[str] | None:
    """The names in a module's `__all__`; None without one."""
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return set(ast.literal_eval(node.value))
    return None


def names_used(path: Path, known: Mapping[str, Path]) -> set[tuple[str, str]]:
    """(module, name) for every name that a file takes from modules among `known`."""
    tree = ast.parse(path.read_text("utf-8"))
    used, modules = set(), {}  # modules: by the names that the file gives them
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                if inner in known:
                    modules[alias.asname or alias.name] = inner
                elif node.module in known:
                    used.add((node.module, alias.name))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            used.add((modules[node.value.id], node.attr))
    return used


def package(module: str) -> str:
    """The package of a module as MAY_IMPORT names it."""
    parts = module.split(".")
    return parts[1] if parts[0] == "pipeline" and len(parts) > 1 else parts[0]


def package_graph() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for module, imported in graph().items():
        found.setdefault(package(module), set()).update(map(package, imported))
    return {name: wanted - {name} for name, wanted in found.items() if name != "pipeline"}


def test_no_module_imports_itself_through_others() -> None:
    list(TopologicalSorter(graph()).static_order())  # raises CycleError with the circle


def test_packages_import_what_stands_below_them() -> None:
    for name, imported in package_graph().items():
        assert name in MAY_IMPORT, f"pipeline.{name} has no place in the plan"
        beyond = imported - MAY_IMPORT[name]
        assert not beyond, f"{name} may not import {sorted(beyond)}"


def test_the_plan_has_few_levels() -> None:
    plan = package_graph()
    levels: dict[str, int] = {}
    for name in TopologicalSorter(plan).static_order():
        levels[name] = 1 + max((levels[below] for below in plan[name]), default=0)
    assert max(levels.values()) <= MAX_LEVELS


def test_modules_are_short() -> None:
    lines = {name: len(path.read_text("utf-8").splitlines()) for name, path in modules().items()}
    assert {name: count for name, count in lines.items() if count > MAX_LINES} == {}


def test_modules_use_only_what_others_list_as_public() -> None:
    known = modules()
    listed = {name: public(path) for name, path in known.items()}
    private = {
        f"{user}: {module}.{name}"
        for user, path in known.items()
        for module, name in names_used(path, known)
        if name not in (listed[module] or ()) and not (module in WITHOUT_ALL and name[0] != "_")
    }
    assert private == set()
