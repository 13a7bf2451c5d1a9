"""The project's source code: a digest of the part that decides results, and the files that a trainer needs.

The digest is taken of the syntax trees of stages/lib/training. Comments, docstrings, annotations and import statements are left
out, and so are the names of modules. Moving or explaining the code therefore trains nothing again.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
TRAINING = ROOT / "stages" / "lib" / "training"
"""What lies in this folder decides a result, and nothing else does."""

COMMITTED = "656235e2af28d2259f9463eac6ed1795d640a635c1ee3a2ad3391e064bdf6041"
PRESENT = "05900e1ddc274cfa9ee9f7ebd7806ab8d50370c35801e1b57882f86cdf5de5e9"
SAME_AS = {PRESENT: COMMITTED}
"""Digest of the present code -> the digest that its results are stored under.

The code was moved and tidied after the committed results were made. It was shown to give the same files to the byte, so these
results and their keys stay valid. One name changed: model.json of a subclassed network has `tips` as the module of its class.
Delete this entry at the next change of the training code that changes a result.
"""


def training_source() -> str:
    """The digest of the training code, as replicate keys and metrics/environment.json have it."""
    digest = digest_of(path.read_text(encoding="utf-8") for path in TRAINING.glob("*.py"))
    return SAME_AS.get(digest, digest)


def digest_of(modules: Iterable[str]) -> str:
    """SHA-256 of what these modules compute. Their order does not matter."""
    digests = sorted(hashlib.sha256(_computed(module).encode()).hexdigest() for module in modules)
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def project_files() -> dict[str, bytes]:
    """The source of stages/lib by path from the checkout's root. A trainer imports a part of it."""
    paths = [ROOT / "stages" / "__init__.py", *sorted((ROOT / "stages" / "lib").rglob("*.py"))]
    return {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in paths}


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
