"""YAML files as plain data, with the line that every value stands on; a second file wins."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

Way = tuple[str | int, ...]
"""From the root to a value: `("services", "api-gateway", "depends_on", 0)`."""

LARGEST = 8 * 1024 * 1024
"""Bytes of a file. A thousand services take less than one tenth of it."""

MOST_VALUES = 200_000
"""Aliases can make a small file endless."""


@dataclass(slots=True)
class Document:
    """What the files say together."""

    data: dict[str, object] = field(default_factory=dict)
    marks: dict[Way, str] = field(default_factory=dict)
    """`file:line` of each value, that of its key where it has one."""
    faults: list[str] = field(default_factory=list)

    def at(self, way: Iterable[str | int]) -> str:
        """The place of a value, or of the nearest thing around it that was written."""
        steps = tuple(way)
        while steps and steps not in self.marks:
            steps = steps[:-1]
        return self.marks.get(steps, "")


def read_documents(paths: Iterable[Path]) -> Document:
    """Read the files in order; mappings are merged, anything else of a later file wins."""
    whole = Document()
    for path in paths:
        one = _read(path)
        whole.faults += one.faults
        _merge(whole.data, one.data)
        whole.marks.update(one.marks)
    return whole


def _read(path: Path) -> Document:
    document = Document()
    try:
        content = path.read_bytes()
    except OSError as error:
        document.faults.append(f"{path}: cannot be read: {error.strerror}; check the path")
        return document
    if len(content) > LARGEST:
        document.faults.append(f"{path}: {len(content)} bytes are too much for a catalog")
        return document
    document.marks[()] = f"{path}:1"
    try:
        node = YAML(typ="safe", pure=True).compose(io.BytesIO(content))
    except (YAMLError, UnicodeDecodeError) as error:
        document.faults.append(_syntax(path, error))
        return document
    if isinstance(node, MappingNode):
        _Walk(path, document).into(node)
    elif node is not None:
        document.faults.append(f"{path}:1: a catalog is a mapping of fields, this is not one")
    return document


def _syntax(path: Path, error: Exception) -> str:
    mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
    line = mark.line + 1 if mark else 1
    said = getattr(error, "problem", None) or "it is not YAML in UTF-8"
    return f"{path}:{line}: not readable as YAML: {said}"


class _Walk:
    """One file's nodes into one document."""

    def __init__(self, path: Path, document: Document) -> None:
        self.path, self.document = path, document
        self.constructor = SafeConstructor(loader=YAML(typ="safe", pure=True))
        self.inside: set[int] = set()
        self.values = 0

    def into(self, node: MappingNode) -> None:
        self.document.data = self._mapping(node, ())

    def _value(self, node: Node, way: Way) -> object:
        self.values += 1
        if self.values > MOST_VALUES or id(node) in self.inside:
            if self.values <= MOST_VALUES or self.values == MOST_VALUES + 1:
                self._fault(node, "aliases make it endless; write it out")
            return None
        if isinstance(node, ScalarNode):
            return self._scalar(node)
        self.inside.add(id(node))
        try:
            if isinstance(node, MappingNode):
                return self._mapping(node, way)
            return self._sequence(node, way) if isinstance(node, SequenceNode) else None
        finally:
            self.inside.discard(id(node))

    def _scalar(self, node: ScalarNode) -> object:
        try:
            value: object = self.constructor.construct_object(node, deep=True)
        except (YAMLError, ValueError, OverflowError) as error:
            said = getattr(error, "problem", None) or str(error)
            self._fault(node, f"{str(node.value)!r} is not readable: {said}")
            return None
        return value

    def _sequence(self, node: SequenceNode, way: Way) -> list[object]:
        items = []
        for index, item in enumerate(node.value):
            self.document.marks[(*way, index)] = self._place(item)
            items.append(self._value(item, (*way, index)))
        return items

    def _mapping(self, node: MappingNode, way: Way) -> dict[str, object]:
        found: dict[str, object] = {}
        first: dict[str, str] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            if key in found:
                self._fault(key_node, f"{key!r} stands here a second time; first in {first[key]}")
                continue
            first[key] = self._place(key_node)
            self.document.marks[(*way, key)] = first[key]
            found[key] = self._value(value_node, (*way, key))
        return found

    def _place(self, node: Node) -> str:
        return f"{self.path}:{node.start_mark.line + 1}"

    def _fault(self, node: Node, words: str) -> None:
        self.document.faults.append(f"{self._place(node)}: {words}")


def _merge(base: dict[str, object], over: dict[str, object]) -> None:
    for key, value in over.items():
        present = base.get(key)
        if isinstance(present, dict) and isinstance(value, dict):
            _merge(present, value)
        else:
            base[key] = value
