"""`compare`: train several networks on the same texts, in equal time or with equal steps."""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from os import fspath
from pathlib import Path
from typing import Any, Unpack, cast

from chargen.checkpoint.directory import CONFIG, FILES, Checkpoint
from chargen.checkpoint.sources import Sources
from chargen.config import TrainOptions
from chargen.data.directories import EVERY_FILE, expanded
from chargen.data.standard_input import STANDARD_INPUT
from chargen.errors import CheckpointError, CorpusError, OptionError, TrainingError
from chargen.fields import takes
from chargen.training.comparison import COMPARISON, Comparison, Question, Run, read
from chargen.training.defaults import default_validation
from chargen.training.events import Event, Started
from chargen.training.lock import claimed
from chargen.training.machine import training_throughput
from chargen.training.plan import check_folder, default_checkpoint, plan_new
from chargen.training.support import check_support
from chargen.training.train import AnyPath, sources_of, train
from chargen.training.tries import COMPARE_OPTIONS, CompareOptions, check_options_of_all

__all__ = ["Beginning", "compare"]

CHANGEABLE = ("seeds", "save_every", "threads", "keep_ids")
"""Options that may change when a comparison is resumed, apart from the time or passes of each run.
What a network learns follows from the others."""


@dataclass(frozen=True)
class Beginning:
    """A run is about to begin or to be resumed; its own events follow.

    Attributes:
        folder: the folder of the comparison.
        name: the name of the run's directory in it.
        number: which run of the comparison it is, from 1.
        count: how many there are.
        question: what is compared.
    """

    folder: Path
    name: str
    number: int
    count: int
    question: Question


Report = Callable[[Beginning | Event], None]


def _ignore(event: Beginning | Event) -> None:
    """Ignore an event: the default of `report`."""


@takes(COMPARE_OPTIONS)
def compare(
    texts: AnyPath | Sequence[AnyPath] = (),
    *,
    tries: Sequence[TrainOptions] = (),
    output: AnyPath | None = None,
    resume: bool = False,
    force: bool = False,
    glob: str = EVERY_FILE,
    verbose: bool = False,
    report: Report = _ignore,
    **options: Unpack[CompareOptions],
) -> Comparison:
    """Train several networks on the same texts, one after another, and compare what they learn.

    With `epochs` all of them make the same passes over the text; else each run gets the same time.
    No run stops early for lack of `patience`. Each run stays as a checkpoint, in a directory of
    its own that is named after what sets its network apart.

    Args:
        texts: paths, as for `train`; they are read once for each run, so that standard input
            cannot be among them. With `resume` they may be left out.
        tries: for each network the options that are its own, such as
            `{"cell": "gru", "units": 64}`; by default there is one for each cell.
        output: the folder for the checkpoints and `comparison.json`; by default
            `checkpoints/compare-<stem of the first text>`.
        resume: continue the comparison in `output` where it stopped: runs that have ended are kept,
            and one that was interrupted goes on. What is not given is as it was; more networks or
            `seeds` are added, and a larger `budget` or more `epochs` make every run go on.
        force: remove the runs of the same names that are there.
        glob: what the names of files in a directory match, such as "*.md".
        verbose: show on standard error what `train` shows there.
        report: a function that is called with each event of each run, and before with a
            `Beginning`.
        **options: one entry for each option that all networks share; `takes` fills them in here.

    Returns:
        The comparison. A run that diverged again and again is part of it, with its error.

    Raises:
        CorpusError: a text cannot be read, or cannot be read twice.
        CheckpointError: a comparison is already there, is missing, or cannot be written.
        OptionError: an option is out of range, two options conflict, or there is nothing to
            compare; the message names the try.
        TrainingError: the text is too short for the options of a network, or this installation or
            system cannot train.
        KeyboardInterrupt: SIGINT arrived; the run is saved, and `resume` continues the comparison.
    """
    check_support()
    if resume and force:
        raise OptionError(
            "--resume continues a comparison and does not go with --force; leave one of them out"
        )
    named = sources_of(texts)
    folder = _folder(named, output)
    question = Question(texts=tuple(named), tries=tuple(tries), options=options, glob=glob)
    kept: Mapping[Path, str | None] = {}
    if resume:
        earlier, ended = read(folder)
        question = _continued(earlier, question)
        kept = _unchanged(folder, ended, earlier, question)
    elif not named:
        raise OptionError("give at least one TEXT to train on, or --resume with --output")
    else:
        question = question.checked()
    held_out = question.options.get("validation")
    _check_texts([*question.texts, *([held_out] if isinstance(held_out, str) else [])])
    with claimed(folder, "--output"):
        if (folder / CONFIG).exists():
            raise CheckpointError(
                f"{folder} is a checkpoint, and a comparison has several; give another --output"
            )
        if not (resume or force):
            _check_free(folder, question)
        # Whoever names the text again is told if it is another, even where nothing is left to do.
        unread = () if named or glob != EVERY_FILE else kept
        question, train_characters = _settled(folder, question, unread, new=not resume)
        if force:
            _clear(folder, question)
        order = _order(question)
        paths = {run: folder / question.run_name(*run) for run in order}
        runs = {run: _read(path, kept[path]) for run, path in paths.items() if path in kept}
        comparison = Comparison(folder, question, runs)
        comparison.write()  # so that it can be resumed from now on
        for number, run in enumerate(order, 1):
            if run in runs:
                continue
            path = paths[run]
            report(Beginning(folder, path.name, number, len(order), question))
            options_of_run = question.run_options(*run, train_characters)
            error = _train(question, path, options_of_run, verbose=verbose, report=report)
            comparison = replace(comparison, runs={**comparison.runs, run: _read(path, error)})
            comparison.write()
    return comparison


def _folder(sources: Sequence[str], output: AnyPath | None) -> Path:
    """Return the folder of the comparison: the one that was named, or that of the first text."""
    if output is not None:
        if not fspath(output) or "\0" in fspath(output):
            raise OptionError(f"--output must name a folder; found {fspath(output)!r}")
        return Path(output)
    if not sources:
        raise OptionError("give at least one TEXT to train on, or --resume with --output")
    usual = default_checkpoint(sources[0])
    return usual.with_name(f"compare-{usual.name}")


def _continued(earlier: Question, asked: Question) -> Question:
    """Return what is to be compared when a comparison is resumed.

    Raises:
        OptionError: it would no longer be a fair one.
    """
    equal, other = ("budget", "epochs") if earlier.budget is not None else ("epochs", "budget")
    options, before = check_options_of_all(asked.options), dict[str, Any](earlier.options)
    if other in options:
        raise OptionError(
            f"--{other} does not go with --resume, as this comparison gives every network the same "
            f"--{equal}; leave it out, or start another with --output"
        )
    changed = {name: options.pop(name) for name in (*CHANGEABLE, equal) if name in options}
    if equal in changed and changed[equal] < before[equal]:
        raise OptionError(
            f"--{equal} {changed[equal]:g} does not go with --resume, as this comparison gives "
            f"every network {before[equal]:g} already; give as much or more, or start another with "
            "--output"
        )
    for name, value in options.items():
        if not _is_same(value, before.get(name)):
            field = COMPARE_OPTIONS[name]
            was = f"with {field.shown(before[name])}" if name in before else "without it"
            raise OptionError(
                f"{field.shown(value)} does not go with --resume, as this comparison was started "
                f"{was}; leave it out, or start another with --output"
            )
    return Question(
        texts=asked.texts or earlier.texts,
        tries=(*earlier.tries, *(each for each in asked.tries if each not in earlier.tries)),
        options=cast("CompareOptions", before | changed),
        glob=earlier.glob if asked.glob == EVERY_FILE else asked.glob,
    ).checked()


def _is_same(value: object, earlier: object) -> bool:
    """Return whether an option has the value that it had, or names the same file."""
    if isinstance(value, str) and isinstance(earlier, str):
        return value == earlier or Path(value).resolve() == Path(earlier).resolve()
    return value == earlier


def _unchanged(
    folder: Path, ended: Mapping[Path, str | None], earlier: Question, question: Question
) -> dict[Path, str | None]:
    """Return those of the runs that have ended which are still asked for with the same options."""
    before, now = (
        {
            folder / each.run_name(network, random_seed): each.run_options(network, random_seed)
            for network, random_seed in _order(each)
        }
        for each in (earlier, question)
    )
    return {
        path: error
        for path, error in ended.items()
        if path in now and now[path] == before.get(path) and (path / CONFIG).is_file()
    }


def _order(question: Question) -> list[tuple[int, int]]:
    """Return the runs in order: one of each network comes before the next random seed."""
    networks = range(len(question.tries))
    return [(network, seed) for seed in question.random_seeds for network in networks]


def _check_texts(texts: Sequence[str]) -> None:
    """Refuse texts that come only once.

    Raises:
        CorpusError: one is standard input, or a pipe.
    """
    for text in texts:
        if text == STANDARD_INPUT or (Path(text).exists() and not _is_lasting(Path(text))):
            what = "standard input" if text == STANDARD_INPUT else text
            raise CorpusError(
                f"every run reads the text anew, and {what} can be read only once; save it in a "
                "file, and name that"
            )


def _is_lasting(path: Path) -> bool:
    return path.is_file() or path.is_dir()


def _check_free(folder: Path, question: Question) -> None:
    """Refuse a folder that holds a comparison already, before anything is read.

    Raises:
        CheckpointError: it does.
    """
    paths = [folder / question.run_name(*run) / name for run in _order(question) for name in FILES]
    if found := next((path for path in (folder / COMPARISON, *paths) if path.exists()), None):
        raise CheckpointError(
            f"{folder} already holds {found.relative_to(folder)}; give --resume to continue its "
            "comparison, --force to replace it, or another --output"
        )


def _clear(folder: Path, question: Question) -> None:
    """Remove the runs that are to be replaced, so that none of them is taken for a new one."""
    for run in _order(question):
        path = folder / question.run_name(*run)
        if path.is_dir():
            with claimed(path, "--output"):
                check_folder(path, force=True, option="--output")
                for name in FILES:  # the first makes it a checkpoint
                    (path / name).unlink(missing_ok=True)


def _settled(
    folder: Path, question: Question, unread: Container[Path], *, new: bool
) -> tuple[Question, int]:
    """Plan the networks that have not begun, so that what is wrong with one is said at once.

    It starts TensorFlow too, which would else take its seconds from the first run alone.

    Args:
        folder: the folder of the comparison.
        question: what is compared.
        unread: the directories of runs that have begun and need their text no more.
        new: whether none has begun, whatever is in the folder.

    Returns:
        The question with what all networks hold out, and the length of the text to learn from.

    Raises:
        ChargenError: a text cannot be read, a network cannot be trained on it, or it is not what
            the runs that have begun learn from.
    """
    paths = {run: folder / question.run_name(*run) for run in _order(question)}
    begun = {} if new else {run: p for run, p in paths.items() if (p / CONFIG).is_file()}
    missing = sorted({network for network, _ in paths.keys() - begun.keys()})
    earlier = [Checkpoint.open(path) for path in begun.values()]
    if not missing and all(path in unread for path in begun.values()):
        return question, earlier[0].corpus.train_characters
    sources = expanded(question.texts, question.glob)
    if not missing:
        Sources(earlier[0]).corpus(sources)  # refuses another text
        return question, earlier[0].corpus.train_characters
    if "validation" not in question.options:
        # A preset would hold out another share than the others do.
        first, options = _plan(folder, question, missing[0], sources), question.options
        share = default_validation(
            first.corpus.characters,
            options,
            vocabulary=len(first.vocabulary),
            throughput=training_throughput(options.get("threads")),
        )
        question = replace(question, options={**question.options, "validation": share})
    planned: dict[int, Checkpoint] = {}
    for network in missing:
        plan = _plan(folder, question, network, sources)
        for other, another in planned.items():
            if (plan.model, plan.training) == (another.model, another.training):
                raise question.repeated(network, other)
        planned[network] = plan
    for each in earlier:
        if each.corpus.sha256 != plan.corpus.sha256:
            what = "text to learn from"
        elif each.corpus.validation_sha256 != plan.corpus.validation_sha256:
            what = "text to hold out"
        else:
            continue
        raise CorpusError(
            f"the {what} is not the one of {each.path}, and what has learned from different texts "
            "cannot be compared; restore that text, or start another comparison with --output"
        )
    return question, plan.corpus.train_characters


def _plan(folder: Path, question: Question, network: int, sources: Sequence[str]) -> Checkpoint:
    random_seed = question.random_seeds[0]
    try:
        plan = plan_new(
            folder / question.run_name(network, random_seed),
            sources,
            question.run_options(network, random_seed),
            note=lambda sentence: None,  # the run will say it
        )
    except (OptionError, TrainingError) as error:
        raise type(error)(f"{question.label(network)}: {error.as_typed}") from None
    return plan.checkpoint


def _read(path: Path, error: str | None) -> Run:
    checkpoint = Checkpoint.open(path)
    return Run(checkpoint, checkpoint.history(), error)


def _train(
    question: Question, path: Path, options: TrainOptions, *, verbose: bool, report: Report
) -> str | None:
    """Carry out a run, or the rest of it, and return why it failed, or None."""
    has_started = False

    def note(event: Event) -> None:
        nonlocal has_started
        has_started = has_started or isinstance(event, Started)
        report(event)

    try:
        train(
            question.texts,
            checkpoint=path,
            resume=(path / CONFIG).is_file(),
            glob=question.glob,
            verbose=verbose,
            report=note,
            **options,
        )
    except TrainingError as error:
        if not has_started:
            raise  # it is not the network that is at fault
        return error.as_typed
    return None
