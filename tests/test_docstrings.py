"""The docstrings of the public functions have the sections of numpydoc."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "vidsal"

ERRORS = {"VidsalError", "UsageError", "ValueError"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def public_functions(
    body: list[ast.stmt], prefix: str = "", *, in_class: bool = False
) -> Iterator[tuple[str, Function, bool]]:
    """Yield the qualified name, the node and whether it is a method.

    Properties and overloads are left out, and commands, whose docstrings are their help texts.
    """
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_functions(node.body, f"{prefix}{node.name}.", in_class=True)
        elif isinstance(node, Function) and not node.name.startswith("_"):
            decorators = " ".join(ast.unparse(item) for item in node.decorator_list)
            if not re.search(r"property|\.setter|overload|app\.command", decorators):
                yield f"{prefix}{node.name}", node, in_class


def has_arguments(function: Function, *, is_method: bool) -> bool:
    """Return whether the function takes arguments besides `self` and `cls`."""
    arguments = function.args
    static = any(ast.unparse(item) == "staticmethod" for item in function.decorator_list)
    positional = len(arguments.posonlyargs) + len(arguments.args) - (is_method and not static)
    return bool(positional or arguments.kwonlyargs or arguments.vararg or arguments.kwarg)


def raised_errors(function: Function) -> set[str]:
    """Return the errors of `ERRORS` that the function itself raises and does not catch."""
    raised: set[str] = set()
    pending: list[tuple[ast.AST, str]] = [(node, "") for node in function.body]
    while pending:
        node, caught = pending.pop()
        if isinstance(node, Function | ast.Lambda | ast.ClassDef):
            continue
        if isinstance(node, ast.Raise) and node.exc is not None:
            error = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            name = ast.unparse(error).rpartition(".")[2]
            if not re.search(rf"\b{name}\b", caught):
                raised.add(name)
        if isinstance(node, ast.Try):
            types = (ast.unparse(one.type) for one in node.handlers if one.type)
            inner = " ".join([caught, *types])
            pending += [(one, inner) for one in node.body]
            rest = [*node.handlers, *node.orelse, *node.finalbody]
            pending += [(one, caught) for one in rest]
        else:
            pending += [(one, caught) for one in ast.iter_child_nodes(node)]
    return raised & ERRORS


def has_section(docstring: str, name: str) -> bool:
    """Return whether the docstring has the numpydoc section `name`."""
    return re.search(rf"^{name}\n-{{{len(name)}}}$", docstring, re.MULTILINE) is not None


def missing_sections(path: Path) -> list[str]:
    """Return a line for each section that a public function of the module lacks."""
    missing = []
    for name, function, is_method in public_functions(ast.parse(path.read_text("utf-8")).body):
        docstring = ast.get_docstring(function) or ""
        if re.search(r"[Ss]ee\s+`", docstring):
            continue
        place = f"{path.relative_to(PACKAGE.parent)}:{function.lineno} {name}"
        if has_arguments(function, is_method=is_method) and not has_section(
            docstring, "Parameters"
        ):
            missing.append(f"{place}: no Parameters")
        if raised_errors(function) and not has_section(docstring, "Raises"):
            missing.append(f"{place}: no Raises")
    return missing


MODULES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_public_functions_have_the_sections_of_numpydoc(path: Path) -> None:
    assert missing_sections(path) == []
