"""What Python code computes, as a digest of its syntax trees.

Comments, docstrings, annotations and import statements are left out, and so are the names of modules. Moving or explaining code
therefore changes no digest.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable


def digest_of(modules: Iterable[str]) -> str:
    """SHA-256 of what these modules compute. Their order does not matter."""
    digests = sorted(hashlib.sha256(_computed(module).encode()).hexdigest() for module in modules)
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _computed(module: str) -> str:
    """What a module computes, as text that is the same for every version of Python."""
    tree = ast.parse(module)
    return repr(_plain(_Reduced(tree).visit(tree)))


def _plain(node: object) -> object:
    """A syntax tree as lists. `ast.dump` would write other text in other versions of Python."""
    if isinstance(node, ast.AST):
        fields = [[name, _plain(value)] for name, value in ast.iter_fields(node) if value is not None and value != []]
        return [type(node).__name__, *fields]
    return [_plain(each) for each in node] if isinstance(node, list) else node


class _Reduced(ast.NodeTransformer):
    """Leaves out what computes nothing.

    Import statements go, so an imported name is written as what it stands for: `np.sum` becomes `numpy.sum`. Another import
    under the same name is then still another digest. The modules of the training code all have one name.
    """

    def __init__(self, tree: ast.Module) -> None:
        self.origins: dict[str, str] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    self.origins[alias.asname or alias.name] = alias.name
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    self.origins[alias.asname or alias.name] = self._origin(node.module or "", alias.name)

    @staticmethod
    def _origin(module: str, name: str) -> str:
        if module == "stages.lib.training":
            return module
        return name if module.startswith("stages.") else f"{module}.{name}"

    def visit_Import(self, _: ast.Import) -> None:
        return None

    def visit_ImportFrom(self, _: ast.ImportFrom) -> None:
        return None

    def visit_If(self, node: ast.If) -> ast.AST | None:
        """Imports for annotations alone are left out whole."""
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return None
        return self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        if isinstance(node.value, ast.Constant):  # a docstring
            return None
        return self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        """`x: int = 1` becomes `x = 1`. A dataclass's `x: int` becomes `x = ...`, since the order of fields matters."""
        value = node.value or ast.Constant(...)
        return self.generic_visit(ast.Assign(targets=[node.target], value=value))

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = self.origins.get(node.id, node.id)
        return node
