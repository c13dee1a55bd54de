"""Structs that leave this library: as JSON, from a FastAPI route, in a pydantic model."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, ClassVar, cast, get_args

import msgspec

from asyncclient._text import text_of, type_name

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema, SchemaSerializer
    from pydantic_core.core_schema import SerializationInfo


class Portable:
    """A struct that FastAPI can return and a pydantic model can hold; it imports neither."""

    __slots__ = ()

    # What is written in place of a field for which JSON has no form: an attribute, and its type.
    _stand_ins: ClassVar[Mapping[str, tuple[str, object]]] = {}

    def __iter__(self) -> Iterator[tuple[str, object]]:
        """Yield the members of its JSON object: `dict(answer)` is that object.

        FastAPI asks for it where a route does not declare what it returns.
        """
        return iter(self._members().items())

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Say how pydantic validates, writes and describes it."""
        from pydantic import WithJsonSchema  # noqa: PLC0415  (it is there: it asks)
        from pydantic_core import core_schema  # noqa: PLC0415

        names = [f"{cls.__module__}.{cls.__qualname__}:{id(cls)}"]
        names += [f"[{getattr(each, '__qualname__', each)}]" for each in get_args(source)]
        return core_schema.no_info_after_validator_function(
            partial(_validated, cls, source),
            handler.generate_schema(
                Annotated[object, WithJsonSchema(_described(source, cls._stand_ins))]
            ),
            ref="".join(names),
            serialization=core_schema.plain_serializer_function_ser_schema(
                cls._chosen_members, info_arg=True
            ),
        )

    @property
    def __pydantic_serializer__(self) -> SchemaSerializer:
        """What pydantic writes it with in a place for any value."""
        return _serializer_of(type(self))

    def _members(self) -> dict[str, object]:
        """Return its JSON object, made of built-in types."""
        given: object = self
        if self._stand_ins:
            fields = cast("msgspec.Struct", self).__struct_fields__
            names = (self._stand_ins.get(field, (field,))[0] for field in fields)
            given = {name: getattr(self, name) for name in names}
        # As bytes in between: what JSON has no form for, as infinity, is null then.
        written = msgspec.json.encode(given, enc_hook=_foreign)
        members: dict[str, object] = msgspec.json.decode(written)
        return members

    def _chosen_members(self, info: SerializationInfo) -> dict[str, object]:
        """Return those members of its JSON object that a call of pydantic, or a route, wants."""
        include, exclude = info.include, info.exclude
        if isinstance(exclude, dict):
            exclude = {name for name, inner in exclude.items() if not isinstance(inner, set | dict)}
        return {
            name: value
            for name, value in self._members().items()
            if (include is None or name in include)
            and (exclude is None or name not in exclude)
            and not (info.exclude_none and value is None)
        }


def _foreign(value: object) -> object:
    """Return what is written in place of a caller's object that msgspec does not know."""
    dump = getattr(value, "model_dump", None)  # a pydantic model
    if callable(dump):
        return dump(mode="json")
    words = text_of(value)
    return f"{type_name(value)}: {words}" if isinstance(value, BaseException) else words


def _validated(kind: type[Portable], source: object, value: object) -> object:
    if isinstance(value, kind):
        return value
    try:
        return msgspec.convert(
            value, cast("type[Portable]", source), strict=False, dec_hook=_of_json
        )
    except (msgspec.ValidationError, TypeError, RecursionError) as error:
        raise ValueError(text_of(error)) from None


def _of_json(kind: type, value: object) -> object:
    """Return a decoded value as what msgspec does not make by itself."""
    if kind is Hashable and isinstance(value, list):
        return tuple(cast("list[object]", value))
    if kind is object or kind is Hashable:
        return value
    msg = f"{kind.__name__} is not made of JSON: pass the object itself"
    raise TypeError(msg)


_serializers: dict[type[Portable], SchemaSerializer] = {}


def _serializer_of(kind: type[Portable]) -> SchemaSerializer:
    if kind not in _serializers:
        from pydantic import TypeAdapter  # noqa: PLC0415

        _serializers[kind] = TypeAdapter(kind).serializer
    return _serializers[kind]


def _described(
    source: object, stand_ins: Mapping[str, tuple[str, object]] = MappingProxyType({})
) -> dict[str, object]:
    """Return the JSON schema of a struct as it is written, with all that is in it."""
    (schema,), parts = msgspec.json.schema_components(
        (source,), schema_hook=lambda _: {"description": "any JSON"}, ref_template="{name}"
    )
    described = cast("dict[str, object]", _whole(schema, parts, ()))
    members = cast("dict[str, object]", described.get("properties"))
    required = cast("list[str]", described.get("required"))
    for field, (name, kind) in stand_ins.items():
        del members[field]
        members[name] = _described(kind)
        required[required.index(field)] = name
    return described


def _whole(schema: object, parts: dict[str, dict[str, object]], around: tuple[str, ...]) -> object:
    """Return a schema with each part at its place; one inside itself is any JSON."""
    if isinstance(schema, list):
        return [_whole(each, parts, around) for each in cast("list[object]", schema)]
    if not isinstance(schema, dict):
        return schema
    members = cast("dict[str, object]", schema)
    name = members.get("$ref")
    if isinstance(name, str):
        return {} if name in around else _whole(parts[name], parts, (*around, name))
    return {key: _whole(value, parts, around) for key, value in members.items()}
