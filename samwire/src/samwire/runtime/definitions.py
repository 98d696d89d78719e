"""Tells modules that only define things from those that do something when they are imported.

A module of the first kind is the same in every environment, whenever it is imported: it may be
imported once, before environments are forked. What is not known to be harmless counts as doing
something: the time, random numbers, variables of the environment, files, sockets, threads, clients,
loggers, and every call that is not named below.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

_PURE = frozenset(
    {
        *("bytes.fromhex", "dict.fromkeys", "str.maketrans"),
        *("contextlib.asynccontextmanager", "contextlib.contextmanager"),
        *("contextvars.ContextVar", "copy.deepcopy", "decimal.Decimal", "enum.auto"),
        *("dataclasses.dataclass", "dataclasses.field", "dataclasses.replace"),
        *("datetime.date", "datetime.timedelta", "datetime.timezone"),
        *("botocore.config.Config", "pydantic.ConfigDict", "pydantic.Field"),
        *("ipaddress.ip_address", "ipaddress.ip_network", "json.JSONDecoder", "json.JSONEncoder"),
        *("json.dumps", "json.loads", "logging.getLogger", "pathlib.Path", "pathlib.PurePath"),
        *("re.compile", "re.escape", "string.Template", "struct.Struct", "threading.Lock"),
        *("threading.RLock", "types.MappingProxyType", "types.SimpleNamespace"),
    }
)
_PURE_MODULES = ("abc.", "collections.", "functools.", "itertools.", "msgspec.", "operator.")
_PURE_MODULES_TOO = ("typing.", "typing_extensions.", "attrs.", "attr.")
_PURE_BUILTINS = frozenset(
    {
        *("bool", "bytearray", "bytes", "chr", "classmethod", "complex", "dict", "divmod"),
        *("enumerate", "filter", "float", "format", "frozenset", "getattr", "hasattr"),
        *("hash", "hex", "int", "isinstance", "issubclass", "iter", "len", "list", "map"),
        *("max", "min", "next", "object", "oct", "ord", "pow", "property", "range", "repr"),
        *("reversed", "round", "set", "slice", "sorted", "staticmethod", "str", "sum"),
        *("super", "tuple", "type", "zip"),
    }
)
_PURE_METHODS = frozenset(
    {
        *("bit_length", "capitalize", "casefold", "copy", "count", "encode", "decode"),
        *("endswith", "format", "fromkeys", "get", "group", "hex", "index", "intersection"),
        *("isdecimal", "items", "join", "keys", "lower", "lstrip", "merge", "partition"),
        *("register", "removeprefix", "removesuffix", "replace", "rpartition", "rsplit"),
        *("rstrip", "setter", "split", "splitlines", "startswith", "strip", "title"),
        *("total_seconds", "translate", "union", "upper", "values", "with_suffix", "zfill"),
        *("from_bytes", "to_bytes"),
    }
)
"""Of values that have been made by calls that are allowed: they change nothing else."""
_TELLING = frozenset({"os.environ", "os.getenv", "os.environb", "sys.argv", "sys.stdin"}) | {
    "sys.stdout",
    "sys.stderr",
    "sys.modules",
    "sys.path",
}
"""What differs between environments, or is shared with who imports."""
_ENVIRONMENT = "os.environ"
_AT_IMPORT: frozenset[str] = frozenset()
_INIT = ("__init__", "__new__", "__post_init__", "__init_subclass__", "__class_getitem__")


class Definitions:
    """The modules of some folders.

    Args:
        files: of modules, by name.
    """

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._files = files
        self._read: dict[str, _Module | None] = {}
        self._known: dict[str, bool] = {}

    def only_define(self) -> list[str]:
        """Return the names of the modules that only define, in their order."""
        modules = {name: self._module(name) for name in self._files}
        good = {
            name
            for name, module in modules.items()
            if module is not None
            and all(self._harmless(module, each, _AT_IMPORT) for each in module.tree.body)
        }
        imports = {
            name: set(module.own_imports(self._files))
            for name, module in modules.items()
            if module is not None
        }
        while bad := {name for name in good if not imports[name] <= good}:
            good -= bad  # an import runs what it imports
        return [name for name in self._files if name in good]

    def _module(self, name: str) -> _Module | None:
        if name not in self._read:
            path = self._files[name]
            try:
                tree = ast.parse(path.read_bytes())
            except (OSError, SyntaxError, ValueError):
                self._read[name] = None
            else:
                self._read[name] = _Module(name, tree, is_package=path.stem == "__init__")
        return self._read[name]

    def _harmless(self, module: _Module, node: ast.AST, seen: frozenset[str]) -> bool:
        """Return whether nothing but defining happens when a statement or expression is run."""
        if isinstance(node, ast.Lambda | ast.Constant):
            return True
        if isinstance(node, ast.Import | ast.ImportFrom):
            return not seen  # what a function imports when it is called is not looked at
        if isinstance(node, ast.If) and _never_runs(node):
            return all(self._harmless(module, each, seen) for each in node.orelse)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            run = [*node.args.defaults, *filter(None, node.args.kw_defaults)]
            return self._decorated(module, node, seen) and all(
                self._harmless(module, each, seen)
                for each in run
                if module.meaning(each) != _ENVIRONMENT  # named, not read
            )
        if isinstance(node, ast.ClassDef):
            return self._decorated(module, node, seen) and all(
                self._harmless(module, each, seen)
                for each in [*node.bases, *(k.value for k in node.keywords), *node.body]
            )
        if isinstance(node, ast.AnnAssign):
            parts = [node.target, *([node.value] if node.value else [])]
            return all(self._harmless(module, each, seen) for each in parts)
        if isinstance(node, ast.With | ast.AsyncWith | ast.Global | ast.Await | ast.Delete):
            return False
        if isinstance(node, ast.Call) and not self._may_call(module, node.func, seen):
            return False
        if isinstance(node, ast.Attribute | ast.Name):
            meant = module.meaning(node)
            if meant in _TELLING:
                return False
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                # Of what `__init__` makes; otherwise something else is changed.
                return bool(seen) and isinstance(node.value, ast.Name) and node.value.id == "self"
        return all(self._harmless(module, each, seen) for each in ast.iter_child_nodes(node))

    def _decorated(
        self,
        module: _Module,
        node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef,
        seen: frozenset[str],
    ) -> bool:
        """Return whether the decorators do nothing else."""
        return all(
            self._harmless(module, each, seen)
            if isinstance(each, ast.Call)
            else self._may_call(module, each, seen)
            for each in node.decorator_list
        )

    def _may_call(self, module: _Module, callee: ast.expr, seen: frozenset[str]) -> bool:
        meant = module.meaning(callee)
        if meant is None:
            if not isinstance(callee, ast.Attribute):
                return False
            of_base = callee.attr == "__init__" and ast.unparse(callee.value) == "super()"
            return of_base or callee.attr in _PURE_METHODS
        if meant in _PURE or meant.startswith((*_PURE_MODULES, *_PURE_MODULES_TOO)):
            return True
        if meant in _PURE_BUILTINS or _is_exception(meant):
            return True
        owner, _, name = meant.rpartition(".")
        if owner not in self._files:
            # A method of something that a module of these folders has made.
            outer = owner.rpartition(".")[0]
            return name in _PURE_METHODS and (outer in self._files or owner in module.made)
        return meant in seen or self._may_run(owner, name, seen | {meant})

    def _may_run(self, owner: str, name: str, seen: frozenset[str]) -> bool:
        """Return whether a function may be called, or a class made an instance of."""
        module = self._module(owner)
        found = None if module is None else module.definitions.get(name)
        if module is None or found is None:
            return False
        if isinstance(found, ast.ClassDef):
            run: list[ast.AST] = [
                each
                for each in found.body
                if isinstance(each, ast.FunctionDef) and each.name in _INIT
            ]
            bases = [module.meaning(base) for base in found.bases]
            if not all(base is not None and self._may_inherit(base, seen) for base in bases):
                return False
        else:
            run = [found]
        return all(
            self._harmless(module, statement, seen)
            for function in run
            if isinstance(function, ast.FunctionDef)
            for statement in function.body
        )

    def _may_inherit(self, base: str, seen: frozenset[str]) -> bool:
        owner, _, name = base.rpartition(".")
        if owner in self._files:
            return base in seen or self._may_run(owner, name, seen | {base})
        known = (*_PURE_MODULES, *_PURE_MODULES_TOO, "enum.", "string.")
        return base in _PURE_BUILTINS or _is_exception(base) or base.startswith(known)


class _Module:
    """A module's source, and what its names mean."""

    def __init__(self, name: str, tree: ast.Module, *, is_package: bool) -> None:
        self.name = name
        self.tree = tree
        self._package = name if is_package else name.rpartition(".")[0]
        self._names: dict[str, str] = {}
        self._imported: list[str] = []
        self.definitions: dict[str, ast.FunctionDef | ast.ClassDef] = {}
        self.made: set[str] = set()
        """Names that are assigned here, in full."""
        for node in _run_statements(tree.body):
            self._learn(node)

    def own_imports(self, files: Mapping[str, Path]) -> Iterator[str]:
        """Yield which of these modules its own import imports, parents of packages too."""
        for name in [*self._imported, self.name.rpartition(".")[0]]:
            parts = name.split(".")
            for length in range(1, len(parts) + 1):
                found = ".".join(parts[:length])
                if found in files and found != self.name:
                    yield found

    def meaning(self, node: ast.AST) -> str | None:
        """Return the full name of what an expression names; None if it is not that simple."""
        if isinstance(node, ast.Name):
            if node.id in self._names:
                return self._names[node.id]
            return node.id if hasattr(builtins, node.id) else None
        if isinstance(node, ast.Subscript):  # of a generic class
            return self.meaning(node.value)
        if isinstance(node, ast.Attribute):
            owner = self.meaning(node.value)
            return None if owner is None else f"{owner}.{node.attr}"
        return None

    def _learn(self, node: ast.stmt) -> None:
        if isinstance(node, ast.Import):
            for each in node.names:
                self._imported.append(each.name)
                meant = each.name if each.asname else each.name.partition(".")[0]
                self._names[each.asname or meant] = meant
        elif isinstance(node, ast.ImportFrom):
            above = self._package.split(".")
            above = above[: len(above) - node.level + 1] if node.level else []
            owner = ".".join([*above, *([node.module] if node.module else [])])
            self._imported.append(owner)
            for each in node.names:
                self._imported.append(f"{owner}.{each.name}")
                self._names[each.asname or each.name] = f"{owner}.{each.name}"
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            self.definitions[node.name] = node
            self._names[node.name] = f"{self.name}.{node.name}"
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                if isinstance(target, ast.Name):
                    self._names[target.id] = f"{self.name}.{target.id}"
                    self.made.add(self._names[target.id])


def _run_statements(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements that an import runs, those within others too."""
    for node in body:
        yield node
        if isinstance(node, ast.If) and _never_runs(node):
            yield from _run_statements(node.orelse)
        elif isinstance(node, ast.If | ast.For | ast.While | ast.Try):
            for part in ("body", "orelse", "finalbody"):
                yield from _run_statements(getattr(node, part, []))
            for handler in getattr(node, "handlers", []):
                yield from _run_statements(handler.body)


def _never_runs(node: ast.If) -> bool:
    """Return whether a condition is false whenever a module is imported."""
    test = ast.unparse(node.test)
    return test in ("TYPE_CHECKING", "typing.TYPE_CHECKING") or test.startswith("__name__ == ")


def _is_exception(name: str) -> bool:
    found = getattr(builtins, name, None)
    return isinstance(found, type) and issubclass(found, BaseException)
