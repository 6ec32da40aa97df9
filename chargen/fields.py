"""The description of an option, and what is made from it: the check, the documentation, JSON.

A field of a configuration is annotated with an `Option`:

    units: Annotated[int, Option("Size of each recurrent layer.", "network", at_least=1)]

`fields_of` puts that together with the field's name, type and default.
"""

import dataclasses
import inspect
import math
import numbers
import re
import shlex
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Literal, NamedTuple, Self, TypeVar, get_args

from chargen.errors import OptionError

__all__ = [
    "GROUPS",
    "MAX_COUNT",
    "Config",
    "Field",
    "Group",
    "Option",
    "fields_of",
    "flag_of",
    "takes",
]

Group = Literal[
    "where", "prompt", "text", "network", "learning", "stopping", "amount", "drawing",
    "constraints", "records", "machine", "output",
]  # fmt: skip
GROUPS: tuple[Group, ...] = get_args(Group)
"""The groups of options, in the order in which `--help` prints them."""

MAX_COUNT = 10**12
"""The most epochs, steps or characters: more are a mistake."""

Function = TypeVar("Function", bound=Callable[..., Any])


class Option(NamedTuple):
    """The description of a field, apart from its name, type and default."""

    help: str
    group: Group | None = None
    """None if the field cannot be chosen, because it follows from others."""
    at_least: int | None = None
    above: int | None = None
    at_most: int | None = None
    below: int | None = None
    wanted: str = ""
    """The range in words, if the bounds alone do not say it."""
    default: str = ""
    """The default in words, if it is not the field's."""
    metavar: str = ""
    short: str = ""
    """The one-letter option."""
    duration: bool = False
    """Whether it is a duration: seconds, or text such as 10m."""
    bare: int | None = None
    """The value if the option is given on the command line without one."""

    def words(self) -> str:
        """Return the range in words."""
        match self.at_least, self.above, self.at_most, self.below:
            case _ if self.wanted:
                return self.wanted
            case low, None, None, None:
                return f"{low:,} or more"
            case low, None, high, None:
                return f"from {low:,} to {high:,}"
            case None, low, None, None:
                return f"above {low:,}"
            case None, low, high, None:
                return f"above {low:,} and at most {high:,}"
            case None, low, None, high:
                return f"between {low:,} and {high:,}"
            case low, _, _, high:
                return f"at least {low:,} and below {high:,}"

    def holds(self, value: float) -> bool:
        """Return whether a number is in the range."""
        return (
            (self.at_least is None or value >= self.at_least)
            and (self.above is None or value > self.above)
            and (self.at_most is None or value <= self.at_most)
            and (self.below is None or value < self.below)
        )


class Field(NamedTuple):
    """Everything about a field of a configuration."""

    name: str
    kind: Any
    """The type, without the None that `may_be_none` allows."""
    may_be_none: bool
    default: Any
    """`dataclasses.MISSING` if there is none."""
    option: Option

    @property
    def choices(self) -> tuple[str, ...]:
        """The values to choose from, if the field takes one of a few words."""
        return tuple(value for value in get_args(self.kind) if isinstance(value, str))

    @property
    def given_type(self) -> Any:
        """The type of what a caller may give."""
        given = float | str if self.option.duration else self.kind
        # If words describe the default, it is None, which a caller need not give.
        return given | None if self.may_be_none and not self.option.default else given

    @property
    def default_words(self) -> str:
        """What the value is if none is given; empty if there is nothing to say."""
        if self.option.default:
            return self.option.default
        if self.default is None or self.kind is bool:
            return ""
        if self.option.duration:
            return f"{self.default:g}s"
        return f"{self.default:g}" if isinstance(self.default, float) else str(self.default)

    @property
    def documentation(self) -> str:
        """The entry under "Args:" of a docstring."""
        default = f" Default: {self.default_words}." if self.default_words else ""
        return f"{self.name}: {self.option.help}{default}"

    @property
    def flags(self) -> str:
        """The command-line option, with the one that switches it off if it is usually on."""
        flag = flag_of(self.name)
        usually_on = self.kind is bool and self.option.default
        return f"{flag}/--no-{flag.removeprefix('--')}" if usually_on else flag

    def typed(self, value: object) -> list[str]:
        """Return the words that give the field a value on the command line.

        There are none for what only leaving the option out gives: None, or False if it has no
        option that switches it off.
        """
        on, _, off = self.flags.partition("/")
        if isinstance(value, bool):
            return [flag] if (flag := on if value else off) else []
        return [] if value is None else [on, str(value)]

    def shown(self, value: object) -> str:
        """Return how a message says that the field has a value."""
        return shlex.join(self.typed(value)) or f"no {flag_of(self.name)}"

    def check(self, given: object) -> Any:
        """Check a value and return it, with numbers as Python's own types.

        Raises:
            OptionError: it is of another type, out of range or none of the choices.
        """
        value = found = _as_python(given)
        if value is None and self.may_be_none:
            return value
        if self.option.duration:
            value = _seconds(found, self.name)
        wanted, valid = self._wanted(value)
        if not valid:
            raise OptionError(f"{flag_of(self.name)} must be {wanted}; found {found!r}")
        return value

    def _wanted(self, value: Any) -> tuple[str, bool]:
        """Return what a value must be, and whether this one is."""
        option = self.option
        if self.choices:
            return "one of " + ", ".join(self.choices), value in self.choices
        if self.kind is bool:
            return "True or False", isinstance(value, bool)
        if self.kind is int:
            whole = type(value) is int
            if option.at_most == MAX_COUNT and not (whole and value > MAX_COUNT):
                # Few readers need to know this bound.
                wanted = f"{'' if whole else 'a whole number, '}{option.at_least:,} or more"
            else:
                wanted = f"a whole number {option.words()}"
            return wanted, whole and option.holds(value)
        if isinstance(value, str):
            return option.words(), value != "" and str in (self.kind, *get_args(self.kind))
        if type(value) not in (int, float) or self.kind is str:
            return option.words(), False
        if not math.isfinite(value):
            return f"{option.words()}, and finite", False
        return option.words(), option.holds(value)


@cache  # a configuration is made at each call of `Model.sample`
def fields_of(config: type) -> Mapping[str, Field]:
    """Return the fields of a configuration by name."""
    found = {}
    for field in dataclasses.fields(config):
        kind, option = get_args(field.type)
        kinds = [each for each in get_args(kind) if each is not type(None)]
        may_be_none = len(kinds) < len(get_args(kind))
        if may_be_none:
            (kind,) = kinds
        found[field.name] = Field(field.name, kind, may_be_none, field.default, option)
    return found


class _NotGiven(str):
    """Words for the default of an option, as a signature shows them."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{self}>"


def takes(options: Mapping[str, Field]) -> Callable[[Function], Function]:
    """Document a function's `**options` one by one, in its signature and in its docstring."""

    def document(function: Function) -> Function:
        signature = inspect.signature(function)
        *named, _ = signature.parameters.values()
        keywords = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=_NotGiven(field.option.default) if field.option.default else field.default,
                annotation=field.given_type,
            )
            for name, field in options.items()
        ]
        function.__dict__["__signature__"] = signature.replace(parameters=[*named, *keywords])
        if function.__doc__:  # python -OO leaves none
            # Lines of up to 88 characters; textwrap would take a millisecond to import.
            lines = (
                "    " + "\n        ".join(re.findall(r"(.{1,88})(?: |$)", field.documentation))
                for field in options.values()
            )
            text = inspect.cleandoc(function.__doc__)
            place = r"^    \*\*options:.*(\n {8}.*)*"
            function.__doc__ = re.sub(place, lambda _: "\n".join(lines), text, flags=re.MULTILINE)
        return function

    return document


class Config:
    """Base of the configurations: fields of plain Python values.

    They are read from and written to JSON objects with the same keys. A missing field takes its
    default. So the default of a field that a later version adds must mean what was done before the
    field existed.
    """

    def __post_init__(self) -> None:
        kind: type = type(self)  # mypy takes type[Self] for unhashable
        for name, field in fields_of(kind).items():
            object.__setattr__(self, name, field.check(getattr(self, name)))

    def to_json(self) -> dict[str, Any]:
        """Return all fields by name, ready for `json.dumps`."""
        return dataclasses.asdict(self)  # type: ignore[call-overload, no-any-return]

    def __reduce__(self) -> tuple[Any, ...]:
        # A pickle is read as JSON is: by versions with more fields too, and checked.
        return type(self).from_json, (self.to_json(),)

    @classmethod
    def from_json(cls, values: object) -> Self:
        """Build from what `to_json` gave.

        Raises:
            OptionError: a field is unknown, of the wrong type or out of range, or one without a
                default is missing.
        """
        kind: type = cls
        fields = fields_of(kind)
        required = {name for name in fields if fields[name].default is dataclasses.MISSING}
        if not isinstance(values, Mapping):
            raise OptionError(f"expected an object; found {values!r}")
        if missing := required - set(values):
            raise OptionError(f"lacks {', '.join(sorted(missing))}")
        if unknown := set(values) - set(fields):
            raise OptionError(f"has unknown fields: {', '.join(sorted(map(str, unknown)))}")
        return cls(**values)


def flag_of(name: str) -> str:
    """Return the command-line option for a field."""
    return "--" + name.replace("_", "-")


def _seconds(value: object, name: str) -> float:
    """Return a duration in seconds, given as a number or as text such as 90s, 10m, 1.5h or 1h30m.

    Raises:
        OptionError: it is neither.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    match = re.fullmatch(r"(?:([\d.]+)h)?(?:([\d.]+)m)?(?:([\d.]+)s?)?", str(value).strip())
    try:
        if match is None or not any(match.groups()):
            raise ValueError
        hours, minutes, seconds = (float(part or 0) for part in match.groups())
    except ValueError:
        raise OptionError(
            f"{flag_of(name)} must be a duration such as 90s, 10m or 1h; found {value!r}"
        ) from None
    return hours * 3600 + minutes * 60 + seconds


def _as_python(value: object) -> Any:
    """Return another library's number, such as NumPy's, as Python's own; all else unchanged.

    A number that no float can hold is infinite, so that it can be compared and shown.
    """
    match value:
        case bool():  # Python counts it as an integer
            return value
        case numbers.Real():
            try:
                as_float = float(value)
            except OverflowError:
                return -math.inf if value < 0 else math.inf
            return int(value) if isinstance(value, numbers.Integral) else as_float
    return value
