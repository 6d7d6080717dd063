"""`make types`: what the frontend knows of the API: schema, types, bounds, methods, exports."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

CHECKOUT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(CHECKOUT))

from annotate.exchange.columns import Column  # noqa: E402
from annotate.exchange.exporters import EXPORTERS  # noqa: E402
from setup import frontend  # noqa: E402
from setup.steps import Failed  # noqa: E402
from training.engine.spec.catalogue import CATALOGUE, MethodFacts  # noqa: E402

SCHEMA = CHECKOUT / "frontend" / "openapi.yaml"
BOUNDS = CHECKOUT / "frontend" / "src" / "lib" / "api" / "bounds.ts"
METHODS = BOUNDS.with_name("methods.ts")
EXPORTS = BOUNDS.with_name("exports.ts")
SENT = "Request"  # the end of the names of what clients send
# A schema's word, and the attribute with which an input of HTML says the same.
WORDS = {"minimum": "min", "maximum": "max", "maxLength": "maxlength", "maxItems": "most"}
HEAD = """\
/**
 * This file was made by `make types`: how far numbers and texts go that the API is sent, as
 * attributes of inputs. Do not edit it.
 */
export const BOUNDS = {"""

METHODS_HEAD = """\
/** This file was made by `make types`: the methods of the engine. Do not edit it. */
export const METHODS = {"""
EXPORTS_HEAD = """\
/** This file was made by `make types`: what can be exported. Do not edit it. */
export const EXPORTS = {"""
FLAGS = ("learns_from_judge", "has_reference", "writes", "keeps_rollouts")


def main() -> None:
    schema = [sys.executable, "manage.py", "spectacular", "--file", str(SCHEMA)]
    subprocess.run(schema, cwd=CHECKOUT, check=True)
    frontend.install_packages()
    frontend.npm("Writing the types of the API", "run", "types")
    BOUNDS.write_text(bounds_of(yaml.safe_load(SCHEMA.read_text())))
    METHODS.write_text(methods())
    EXPORTS.write_text(exports())


def bounds_of(schema: dict[str, Any]) -> str:
    """The TypeScript file: schema, field, attributes."""
    shapes = schema["components"]["schemas"]
    found = {
        name.removesuffix(SENT): fields
        for name, shape in sorted(shapes.items())
        if name.endswith(SENT) and (fields := _fields(shape.get("properties", {})))
    }
    lines = [
        line
        for name, fields in found.items()
        for line in (
            f"  {name}: {{",
            *(f"    {field}: {{ {', '.join(bounds)} }}," for field, bounds in fields.items()),
            "  },",
        )
    ]
    return "\n".join([HEAD, *lines, "} as const;", ""])


def methods() -> str:
    """The TypeScript file of the engine's methods, as far as pages need to know them."""
    rows = [
        f"  {method}: {{ section: {json.dumps(facts.section)}, {', '.join(_flags(facts))} }},"
        for method, facts in CATALOGUE.items()
    ]
    return "\n".join([METHODS_HEAD, *rows, "} as const;", ""])


def exports() -> str:
    """The TypeScript file of what can be exported: formats and columns, in their order."""
    lines = []
    for content, exporter in EXPORTERS.items():
        rows = [f"      {{ {_told(column)} }}," for column in exporter.columns]
        formats = json.dumps(list(exporter.writers))
        lines += [f"  {content}: {{", f"    formats: {formats},", "    columns: [", *rows]
        lines += ["    ],", "  },"]
    return "\n".join([EXPORTS_HEAD, *lines, "} as const;", ""])


def _told(column: Column) -> str:
    said = {"name": column.name, "type": column.kind, "text": column.text}
    return ", ".join(
        f"{name}: {json.dumps(text, ensure_ascii=False)}" for name, text in said.items()
    )


def _flags(facts: MethodFacts) -> list[str]:
    return [f"{flag}: {json.dumps(getattr(facts, flag))}" for flag in FLAGS]


def _fields(properties: dict[str, Any]) -> dict[str, list[str]]:
    found = {
        field: [f"{said}: {facts[word]}" for word, said in WORDS.items() if word in facts]
        for field, facts in properties.items()
    }
    return {field: bounds for field, bounds in found.items() if bounds}


if __name__ == "__main__":
    try:
        main()
    except Failed as failed:
        sys.exit(str(failed))
