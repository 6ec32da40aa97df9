"""Everything a user can get wrong is one clear line, the right status, and nothing changed.

Each row calls the command in a folder with the files that `broken` makes. Starting a process takes
a quarter of a second, so that all rows share the one of the tests, and a dozen that differ most in
how far they come have one of their own as well.
"""

import gzip
import io
import json
import math
import shutil
import zipfile
from pathlib import Path

import pytest
from conftest import Run, run_here, run_process
from stress.hostile_checkpoints import link, shape, with_first_array

from chargen.checkpoint.directory import HISTORY_FIELDS


@pytest.fixture(scope="module")
def folder(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the wrong invocations below refer to, and where they run; none may change it."""
    folder = tmp_path_factory.mktemp("misuse")
    broken(checkpoint, folder)
    with (folder / "huge" / "model.keras").open("r+b") as file:
        file.truncate(10**10)  # takes no room on the disk
    return folder


def broken(checkpoint: Path, tmp_path: Path) -> None:
    """Fill the folder."""
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "one").write_bytes(b"a")
    (tmp_path / "same").write_bytes(b"a" * 5000)
    (tmp_path / "keras").mkdir()
    (tmp_path / "keras" / "model.keras").write_bytes(b"somebody's")
    (tmp_path / "short").write_bytes(b"abcdefgh")
    (tmp_path / "binary").write_bytes(bytes(range(256)) * 20)
    (tmp_path / "text").write_bytes(b"the heron counted the moons\n" * 40)
    (tmp_path / "latin").write_bytes("é\n".encode("latin-1"))
    (tmp_path / "folder").mkdir()
    for name in ("ck", "truncated", "missing", "version", "config"):
        shutil.copytree(checkpoint, tmp_path / name)
    data = (checkpoint / "model.keras").read_bytes()
    (tmp_path / "truncated" / "model.keras").write_bytes(data[: len(data) // 2])
    (tmp_path / "missing" / "vocabulary.json").unlink()
    (tmp_path / "config" / "config.json").write_text("{}garbage")
    config = json.loads((checkpoint / "config.json").read_text())
    (tmp_path / "version" / "config.json").write_text(json.dumps(config | {"format": 99}))
    harmful(checkpoint, tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "utf16").write_bytes("the heron\n".encode("utf-16") * 50)
    (tmp_path / "bad.gz").write_bytes(b"no gzip at all" * 20)
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b"the heron\n" * 5000)[:40])
    (tmp_path / "bad.xz").write_bytes(b"no xz at all" * 20)
    (tmp_path / "bad.bz2").write_bytes(b"no bzip2 at all" * 20)
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "config.json").write_text('{"somebody": "else"}')


def harmful(checkpoint: Path, tmp_path: Path) -> None:
    """Checkpoints that were made to do harm."""
    names = ("lambda", "bomb", "huge", "units", "lines", "ids", "deep", "swapped", "nested")
    for name in (*names, "link", "shape"):
        shutil.copytree(checkpoint, tmp_path / name)
    with_first_array(tmp_path / "link", link)
    with_first_array(tmp_path / "shape", shape)
    with zipfile.ZipFile(checkpoint / "model.keras") as archive:
        weights = archive.read("model.weights.h5")
    layers = json.dumps({"config": {"layers": [{"class_name": "Lambda", "code": "import os"}]}})
    for name, layer, content, compression in (
        ("lambda", layers, weights, zipfile.ZIP_STORED),
        ("bomb", "{}", bytes(10**8), zipfile.ZIP_DEFLATED),
    ):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", compression) as archive:
            archive.writestr("metadata.json", "{}")
            archive.writestr("config.json", layer)
            archive.writestr("model.weights.h5", content)
        (tmp_path / name / "model.keras").write_bytes(stream.getvalue())
    for name, old, new in (("units", '"units": 12', '"units": 16384'), ("deep", "{", "[" * 9999)):
        config = tmp_path / name / "config.json"
        config.write_text(config.read_text().replace(old, new, 1))
    (tmp_path / "lines" / "history.jsonl").write_text("[]\n")
    (tmp_path / "ids" / "vocabulary.json").write_text('{"characters": ["b", "a"]}')
    (tmp_path / "swapped" / "model.keras").unlink()
    (tmp_path / "swapped" / "model.keras").mkdir()
    (tmp_path / "nested" / "config.json").write_text("[" * 100_000)
    for name, path in NAMED.items():
        shutil.copytree(checkpoint, tmp_path / name)
        config = json.loads((checkpoint / "config.json").read_text())
        config["training"]["validation"] = path
        config["corpus"] |= {"validation_characters": 9, "validation_sha256": "0" * 64}
        (tmp_path / name / "config.json").write_text(json.dumps(config))
    shutil.copytree(checkpoint, tmp_path / "nan")
    line = dict.fromkeys(HISTORY_FIELDS, 1) | {"train_nats": math.inf}
    (tmp_path / "nan" / "history.jsonl").write_text(json.dumps(line) + "\n")


NAMED = {"device": "/dev/zero", "nul": "a\0b", "surrogate": "a\ud800"}
"""What checkpoints made to harm may name as the text they held out."""


WRONG = [
    ("train text --save-every never", 2, "--save-every must be a duration"),
    ("train text --save-every -1", 2, "--save-every must be a duration"),
    ("train text --budget", 2, "Option '--budget' requires an argument"),
    ("train text --budget -5", 2, "--budget must be a duration"),
    ("train text --budget 1d", 2, "--budget must be a duration"),
    ("train text --budget nan", 2, "--budget must be a duration"),
    ("train text --weight-drop nan", 2, "--weight-drop must be"),
    ("train text --dropout -0.1", 2, "--dropout must be"),
    ("train text --dropout inf", 2, "--dropout must be"),
    ("train text --clip-norm -1", 2, "--clip-norm must be 0 (off) or more"),
    ("train text --weight-decay 2", 2, "--weight-decay must be"),
    ("train text --patience -1", 2, "--patience must be"),
    ("train text --patience x", 2, "Invalid value for '--patience'"),
    ("train text --window 0", 2, "--window must be"),
    ("train text --window 99999999", 2, "--window must be"),
    ("train text --window 5000", 1, "a window of 5,000 needs 5,001"),
    ("train text --batch-size 0", 2, "--batch-size must be"),
    ("train text --batch-size 1000", 1, "1,000 streams of"),
    ("train text --layers 0", 2, "--layers must be"),
    ("train text --layers 65", 2, "--layers must be"),
    ("train text --units 99999", 2, "--units must be"),
    ("train text --units 16384 --layers 64 --window 1 --batch-size 1", 1, "GB of memory, and this"),
    ("train text --units 1.5", 2, "Invalid value for '--units'"),
    ("train text --embedding -1", 2, "--embedding must be"),
    ("train text --learning-rate nan", 2, "--learning-rate must be above 0"),
    ("train text --learning-rate fast", 2, "Invalid value for '--learning-rate'"),
    ("train text --optimizer lion", 2, "Invalid value for '--optimizer'"),
    ("train text --schedule linear", 2, "Invalid value for '--schedule'"),
    ("train text --preset magic", 2, "Invalid value for '--preset'"),
    ("train text --predict first", 2, "Invalid value for '--predict'"),
    ("train text --min-count 0", 2, "--min-count must be"),
    ("train text --epochs -1", 2, "--epochs must be"),
    ("train text --random-seed -1", 2, "--random-seed must be"),
    ("train text --validation -0.5", 2, "--validation must be"),
    ("train text --validation folder", 1, "folder is a directory"),
    ("train text --validation binary", 1, "binary is not utf-8"),
    ("train utf16 --encoding ascii", 1, "utf16 is not ascii: byte 0xff at offset 0"),
    ("train loop", 1, "cannot read loop"),
    ("train bad.gz", 1, "bad.gz"),
    ("train cut.gz", 1, "cut.gz"),
    ("train bad.xz", 1, "bad.xz"),
    ("train bad.bz2", 1, "bad.bz2"),
    ("train text nowhere.txt", 1, "no such file: nowhere.txt"),
    ("train text --resume --force -o ck", 2, "--resume continues a run"),
    ("train text --resume --init-from ck -o ck", 2, "--resume continues a run"),
    ("train --resume", 2, "give at least one TEXT to train on, or --resume with --checkpoint"),
    ("train --resume -o ck", 1, "ck cannot be resumed: it has no resume.safetensors"),
    (
        "train text -o foreign --force",
        1,
        "was not written by chargen, and --force would replace it",
    ),
    ("train text --init-from ck --units 9", 2, "--units 9 does not go with --init-from ck"),
    ("train text --init-from config", 1, "config/config.json is damaged"),
    ("sample -c lambda", 1, "describes a 'Lambda', which no chargen model has"),
    ("sample -c bomb", 1, "bomb/model.keras is damaged"),
    ("sample -c link", 1, "layers/lstm/cell/vars/0 is reached by a link"),
    ("sample -c shape", 1, "should be float32 (12, 48); found float32 (50000, 50000)"),
    ("sample -c huge", 1, "10,000,000,000 bytes are too many"),
    ("sample -c units", 1, "cannot be in a file of"),
    ("sample -c deep", 1, "deep/config.json is damaged"),
    ("sample -c nested", 1, "nested/config.json is damaged"),
    ("sample -c ids", 1, "a vocabulary must be sorted"),
    ("sample -c swapped", 1, "swapped is incomplete: it has no model.keras"),
    ("info lines", 1, "lines/history.jsonl is damaged"),
    ("info folder", 1, "folder is not a checkpoint"),
    ("info ck extra", 2, "unexpected extra argument"),
    ("list text", 1, "no folder text"),
    ("export ck", 2, "Missing option '-o' / '--output' (see chargen export --help)"),
    ("export ck -o model", 2, "--output must end in .html, .safetensors or .onnx, unless there"),
    ("export ck -o model.pt", 2, "unless there is a --format; found 'model.pt'"),
    ("export ck --output=", 2, "--output must name a file; found an empty name"),
    ("export ck --format onnx --output=", 2, "--output must name a file; found an empty name"),
    ("export ck -o -", 2, "--output - says nothing of the format; give --format html, "),
    ("export ck -o model.onnx --format gguf", 2, "'gguf' is not one of 'html', 'safetensors'"),
    ("export ck -o text --format onnx", 1, "text is already there; give --force to replace it"),
    ("export ck -o loop --format onnx", 1, "loop is already there; give --force to replace it"),
    ("export ck -o folder --format onnx --force", 2, "name a file; folder is a directory"),
    ("export ck -o ck/resume.safetensors", 1, "belongs to the checkpoint there; name another"),
    ("export ck -o ck/model.keras --format onnx --force", 1, "belongs to the checkpoint there"),
    ("export ck -o nowhere/model.safetensors", 1, "there is no folder nowhere to write model."),
    ("export ck -o text/model.safetensors", 1, "there is no folder text to write model.safe"),
    ("export ck -o /proc/model.safetensors", 1, "cannot use /proc/model.safetensors: "),
    ("export nowhere -o model.safetensors", 1, "no checkpoint at nowhere"),
    ("export text -o model.safetensors", 1, "text is a file; name the checkpoint's directory"),
    ("export folder -o model.safetensors", 1, "folder is not a checkpoint"),
    ("export truncated -o model.safetensors", 1, "truncated/model.keras is damaged"),
    ("export swapped -o model.safetensors", 1, "swapped is incomplete: it has no model.keras"),
    ("export lambda -o model.safetensors", 1, "describes a 'Lambda'"),
    ("export -o model.safetensors", 1, "no checkpoint under checkpoints"),
    ("sample -c ck a extra", 2, "unexpected extra argument"),
    ("sample -c ck --length", 2, "requires an argument"),
    ("sample -c ck --length many", 2, "is not a valid integer (see chargen sample --help)"),
    ("sample -c ck --temperature nan", 2, "--temperature must be"),
    ("sample -c ck --temperature warm", 2, "'warm' is not a valid float"),
    ("sample -c ck --stop=", 2, "--stop must be at least one character"),
    ("sample -c ck --endless --count 2", 2, "does not go with --count"),
    ("sample -c ck --endless --unique", 2, "--endless writes one text without end; it does not go"),
    ("sample -c ck --endless --beam 2", 2, "it does not go with --beam"),
    ("sample -c ck --beam 2 -t 1", 2, "--beam searches for the most likely text; it does not go"),
    ("sample -c ck --beam 2 --max-copy 5 --corpus text", 2, "it does not go with --max-copy"),
    ("sample -c ck --beam 0", 2, "--beam must be from 1 to"),
    (
        "sample -c ck --beam 2 --count 3",
        2,
        "--count must be from 1 to 2, the number of --beam; found 3",
    ),
    ("sample -c ck --max-copy 20", 2, "--max-copy needs the text that must not be copied"),
    ("sample -c ck --max-copy 1 --corpus text", 2, "--max-copy must be 2 or more; found 1"),
    ("sample -c ck --max-copy 20 --corpus nowhere", 1, "no such file: nowhere"),
    ("sample -c ck --corpus text", 2, "--corpus is for --max-copy or --unique"),
    ("sample -c ck --repetition-guard 1", 2, "--repetition-guard must be"),
    ("sample -c ck --unique --corpus binary", 1, "binary is not utf-8"),
    ("sample -c ck --match (", 2, "--match must be a regular expression"),
    ("sample -c ck --reject [", 2, "--reject must be a regular expression"),
    ("sample -c ck --tries 3", 2, "--tries is for --unique, --match and --reject"),
    ("sample -c ck --encoding latin-1", 2, "--encoding is for --corpus, --seeds and what is"),
    ("sample -c ck --jsonl --no-echo", 2, "--jsonl writes the prompt apart from its text"),
    ("sample -c ck --match X --tries 0", 2, "--tries must be 1 or more; found 0"),
    ("sample -c ck --match X --tries 3", 1, "found 0 of 1 texts in 3 tries (3 did not match)"),
    ("completion", 2, "Missing argument '{bash|zsh|fish}'"),
    ("completion tcsh", 2, "'tcsh' is not one of 'bash', 'zsh', 'fish'"),
    ("gradients", 1, "no checkpoint under checkpoints"),
    ("gradients nowhere", 1, "no checkpoint at nowhere"),
    ("gradients folder", 1, "folder is not a checkpoint"),
    ("gradients ck", 1, "which cannot be read again; give a text with --text"),
    ("gradients device", 1, "is not a regular file; give a text with --text"),
    ("gradients ck --text nowhere", 1, "no such file: nowhere"),
    ("gradients ck --text one", 1, "the text has 1 character that the network knows, and it takes"),
    ("gradients ck --text text --steps 0", 2, "--steps must be a whole number from 1 to 10,000"),
    ("gradients ck --text text --layer 2", 2, "--layer must be from 1 to 1, the number of layers"),
    ("gradients text --layers 2 --layer 3", 2, "--layer must be from 1 to 2, the number of layers"),
    ("gradients ck --text text --threads 0", 2, "--threads must be"),
    ("gradients ck --text text --output a.jpg", 2, "--output must end in .png, .svg, .pdf; found"),
    ("gradients ck --text text -o nowhere/a.png", 1, "there is no folder nowhere to write a.png"),
    ("gradients ck --text text -o text", 1, "text is already there; give --force to replace it"),
    ("gradients ck --units 5", 2, "--units says which networks to make for a TEXT; name a file"),
    ("gradients ck --random-seed 5", 2, "--random-seed says which networks to make for a TEXT"),
    ("gradients text --text text", 2, "--text is what the networks of DIR read; leave it out"),
    ("gradients ck --encoding latin-1", 2, "--encoding says how to read a TEXT or --text; give"),
    ("gradients truncated --text text", 1, "truncated/model.keras is damaged"),
    ("gradients ck --text binary", 1, "binary is not utf-8"),
    ("gradients empty", 1, "no text in empty"),
    ("gradients one", 1, "training needs at least 2"),
    ("gradients text --units 0", 2, "--units must be"),
    ("gradients text --window 5000", 1, "a window of 5,000 needs 5,001"),
    ("novelty text", 2, "Missing option '--corpus'"),
    ("novelty --corpus text", 1, "no text to look at"),
    ("novelty - --corpus -", 2, "standard input can be read only once; - names it twice"),
    ("novelty nowhere --corpus text", 1, "no such file: nowhere"),
    ("novelty text --corpus nowhere", 1, "no such file: nowhere"),
    ("novelty binary --corpus text", 1, "binary is not utf-8"),
    ("sample -c ck --endless --seeds text", 2, "does not go with --seeds"),
    ("sample -c ck --endless --jsonl", 2, "does not go with --jsonl"),
    ("sample -c ck --seeds folder", 1, "folder is a directory"),
    ("sample -c loop", 1, "no checkpoint at loop"),
    ("evaluate folder -c ck", 1, "folder has no text files; name another directory"),
    ("evaluate text -c ck --threshold 3", 2, "--threshold is for lines: give --per line"),
    ("evaluate text -c ck --per char --rank", 2, "--rank is for lines: give --per line"),
    ("evaluate text -c ck --per line --threshold nan", 2, "--threshold must be a number of bits"),
    ("evaluate text -c ck --per line --threshold", 2, "Option '--threshold' requires an argument"),
    ("evaluate text -c ck --per line --invert", 2, "--invert turns --threshold or --rank round"),
    ("evaluate text -c ck --reset word", 2, "Invalid value for '--reset'"),
    ("evaluate text -c ck --encoding klingon", 2, "--encoding must be"),
    ("evaluate utf16 -c ck --encoding ascii", 1, "utf16 is not ascii: byte 0xff at offset 0"),
    ("evaluate http://a.org/text -c ck", 1, "no such file: http://a.org/text; chargen reads no"),
    ("evaluate text -c ck --newlines cr", 2, "'cr' is not one of 'lf', 'keep'"),
    ("evaluate text -c lambda", 1, "describes a 'Lambda'"),
    ("evaluate text", 1, "no checkpoint under checkpoints"),
    ("evaluate bad.gz -c ck", 1, "bad.gz"),
    ("compare", 2, "give at least one TEXT to train on, or --resume with --output"),
    ("compare -", 1, "every run reads the text anew, and standard input can be read only once"),
    ("compare /dev/null", 1, "/dev/null can be read only once; save it in a file"),
    ("compare nowhere", 1, "no such file: nowhere"),
    ("compare binary", 1, "binary is not utf-8"),
    ("compare text -o text", 1, "text is a file; give a directory with --output"),
    ("compare text -o ck", 1, "ck is a checkpoint, and a comparison has several; give another"),
    ("compare text --output=", 2, "--output must name a folder; found ''"),
    ("compare text --resume", 1, "no comparison in checkpoints/compare-text to resume"),
    ("compare --resume", 2, "give at least one TEXT to train on, or --resume with --output"),
    ("compare text --resume --force", 2, "--resume continues a comparison and does not go with"),
    ("compare text --budget 5s", 2, "--budget must be 10 seconds or more"),
    ("compare text --budget 1m --epochs 3", 2, "--budget gives every network the same time, and"),
    ("compare text --seeds 0", 2, "--seeds must be a whole number from 1 to 1,000; found 0"),
    ("compare text --cell gru", 2, "--cell gru leaves nothing to compare"),
    ("compare text --patience 3", 2, "No such option '--patience'; chargen train has it"),
    ("compare text --window 5000", 1, "try 1 (--cell rnn): the text to learn from has"),
    ("compare text --validation -", 2, "--validation takes a file that can be read again"),
    ("compare text --try=--units", 2, "try 1 (--units): Option '--units' requires an argument"),
    ("compare text --try=--cell=gru", 2, "one network with one random seed leaves nothing"),
    (
        "compare text --try=--cell=gru --try=--units=0",
        2,
        "try 2 (--units 0): --units must be a whole number",
    ),
    (
        "compare text --try=--cell=gru --try=--hidden=5",
        2,
        "try 2 (--hidden=5): No such option '--hidden'; did you mean --units? (see chargen train",
    ),
    ("compare text --try=--window=5000 --try=", 1, "try 1 (--window 5000): the text to learn"),
    ("compare text --try= --try=--cell=lstm", 2, "try 2 (--cell lstm) is the same network as try"),
    ("compare text --try=poems.txt", 2, "try 1 (poems.txt): Got unexpected extra argument"),
    ("compare text --try='", 2, "try 1 ('): no closing quotation; put quotes around the whole"),
    ("compare text --try=-ock", 2, "--checkpoint does not belong in a try: each run has"),
    ("compare text --try=--encoding=ascii", 2, "--encoding does not belong in a try: all"),
    ("compare text --try=--budget=1m", 2, "--budget does not belong in a try: all networks get"),
    ("compare text --try=--random-seed=1", 2, "--random-seed does not belong in a try: all"),
    ("compare text --try=--threads=1", 2, "--threads does not belong in a try: all runs compute"),
    ("compare text --try=-q", 2, "--quiet does not belong in a try: it is for a whole command"),
    ("forecast", 2, "No such command 'forecast' (see chargen --help)"),
    ("eval text", 2, "No such command 'eval'; did you mean evaluate? (see chargen --help)"),
    ("--loud", 2, "No such option"),
    ("train text --lr 1", 2, "No such option '--lr'; did you mean --learning-rate? (see chargen"),
    ("train text --top-k 1", 2, "No such option '--top-k'; chargen sample has it"),
    ("train --plan", 2, "give at least one TEXT"),
    ("train nowhere --plan", 1, "no such file: nowhere"),
    ("train text --plan --resume", 2, "--plan is for a new run; leave out --resume"),
    ("train text --plan --units -4", 2, "--units must be"),
    ("train text -o ck --units -4", 2, "--units must be"),
    ("train text --budget soon", 2, "--budget must be a duration such as 90s, 10m or 1h"),
    ("train text --budget 5s", 2, "--budget must be 10 seconds or more"),
    ("train text --weight-drop 1", 2, "--weight-drop must be at least 0 and below 1"),
    ("train text --average -1", 2, "--average must be at least 0 and below 1"),
    ("train text --precision half", 2, "'half' is not one of"),
    ("train empty", 1, "no text in empty"),
    ("train one", 1, "training needs at least 2"),
    ("train short --window 20", 1, "a window of 20 needs 21"),
    ("train binary", 1, "binary is not utf-8: byte 0x80 at offset 128 (line 2) does"),
    ("train same", 1, "only one distinct character"),
    ("train text --min-count 99999", 1, "only one distinct character"),
    ("train text -o keras", 1, "keras already holds model.keras, a file that checkpoints have"),
    ("train text --validation empty", 1, "--validation empty has no character in common"),
    ("train text --validation -", 2, "--validation takes a file that can be read again"),
    ("train text --threads 0", 2, "--threads must be"),
    ("train nowhere --units 0", 2, "--units must be"),
    ("sample --checkpoint=", 2, "--checkpoint must name a directory"),
    ("train text --checkpoint=", 2, "--checkpoint must name a directory"),
    ("train nowhere.txt", 1, "no such file: nowhere.txt"),
    ("train folder", 1, "folder has no text files"),
    ("train text --glob *.md", 2, "--glob narrows a directory"),
    ("train text --field body", 1, "text has no field 'body'; it has "),
    ("train text --field=", 2, "--field must be a name; found ''"),
    ("sample -c ck --field body", 2, "--field says how to read --corpus; give one with it"),
    ("sample -c ck --newlines keep", 2, "--newlines says how to read --corpus; give one with it"),
    ("evaluate -c ck --encoding latin-1", 2, "--encoding says how to read a TEXT; name one"),
    ("evaluate -c ck --glob *.md", 2, "--glob says how to read a TEXT; name one"),
    ("evaluate -c ck --field body", 2, "--field says how to read a TEXT; name one"),
    ("train text -o ck", 1, "ck already holds a checkpoint"),
    ("train text -o text", 1, "text is a file"),
    ("train text -o /proc/nowhere/ck", 1, "cannot write to /proc/nowhere/ck"),
    ("train text --resume -o nowhere", 1, "no checkpoint at nowhere"),
    ("train text --init-from nowhere", 1, "no checkpoint at nowhere"),
    ("train", 2, "give at least one TEXT"),
    ("train text --bidirectional", 2, "--bidirectional needs --predict last"),
    ("train text --bidirectional --predict all", 2, "--bidirectional needs --predict last"),
    ("train text --activation relu", 2, "--activation relu goes only with --cell rnn"),
    ("train text --units 0", 2, "--units must be"),
    ("train text --units many", 2, "Invalid value for '--units'"),
    ("train text --cell transformer", 2, "Invalid value for '--cell'"),
    ("train text --validation 1.5", 2, "--validation must be"),
    ("train text --validation nowhere.txt", 1, "no such file: nowhere.txt"),
    ("train text --encoding klingon", 2, "--encoding must be"),
    ("train text --dropout 1", 2, "--dropout must be"),
    ("train text --learning-rate 0", 2, "--learning-rate must be above 0"),
    ("train text --epochs 0", 2, "--epochs must be"),
    ("train text --nonsense", 2, "No such option"),
    ("sample -c ck -t -1", 2, "--temperature must be 0 or more; found -1.0"),
    ("sample -c ck --top-p 0", 2, "--top-p must be above 0 and at most 1; found 0.0"),
    ("sample -c ck --top-p 1.5", 2, "--top-p must be above 0 and at most 1; found 1.5"),
    ("sample -c ck --top-k 0", 2, "--top-k must be"),
    ("sample -c ck --min-p 2", 2, "--min-p must be"),
    ("sample -c ck -n -3", 2, "--length must be"),
    ("sample -c ck --count 0", 2, "--count must be 1 or more"),
    ("sample -c ck --random-seed -1", 2, "--random-seed must be"),
    ("sample -c ck --threads 0", 2, "--threads must be a whole number from 1 to 4,096; found 0"),
    ("evaluate text -c ck --threads two", 2, "Invalid value for '--threads'"),
    ("sample -c ck --seed é", 1, "the model never saw 'é'"),
    ("sample -c ck --seeds nowhere", 1, "no such file: nowhere; check the path"),
    ("sample -c ck --seeds latin", 1, "latin is not utf-8: byte 0xe9 at offset 0 (line 1) does"),
    ("sample -c ck --seeds text --seed a", 2, "--seed and --seeds both say what to begin with"),
    ("sample a -c ck --seed b", 2, "PROMPT and --seed both say what to begin with; give one"),
    ("sample ck", 2, "ck is a checkpoint, not a prompt; did you mean -c ck?"),
    ("sample -c ck --endless -n 3", 2, "does not go with --length"),
    ("sample -c ck --unknown maybe", 2, "Invalid value for '--unknown'"),
    ("sample", 1, "no checkpoint under checkpoints"),
    ("sample -c nowhere", 1, "no checkpoint at nowhere"),
    ("sample -c text", 1, "text is a file; name the checkpoint's directory"),
    ("sample -c folder", 1, "folder is not a checkpoint"),
    ("sample -c truncated", 1, "truncated/model.keras is damaged"),
    ("sample -c missing", 1, "missing is incomplete: it has no vocabulary.json"),
    ("sample -c version", 1, "version/config.json has format 99; this chargen reads format 1"),
    ("sample -c config", 1, "config/config.json is damaged"),
    ("evaluate nowhere.txt -c ck", 1, "no such file: nowhere.txt"),
    ("evaluate binary -c ck", 1, "binary is not utf-8"),
    ("evaluate text -c truncated", 1, "truncated/model.keras is damaged"),
    ("evaluate -c ck", 1, "held nothing out; name a TEXT"),
    ("evaluate text -c ck --per word", 2, "Invalid value for '--per'"),
    ("info version", 1, "has format 99"),
    ("report nowhere", 1, "no checkpoint at nowhere"),
    ("report version", 1, "has format 99"),
    ("report truncated", 1, "truncated/model.keras is damaged"),
    ("report ck -o text", 1, "text is already there; give --force to replace it"),
    ("report ck -o folder", 2, "--output must name a file; folder is a directory"),
    ("report ck -o nowhere/page", 1, "there is no folder nowhere to write page to; make it"),
    ("report ck --output=", 2, "--output must name a file; found an empty name"),
    ("report ck --length 0", 2, "--length must be from 1 to 10,000; found 0"),
    ("report ck --length many", 2, "Invalid value for '--length'"),
    ("report ck --random-seed -1", 2, "--random-seed must be"),
    ("report ck --threads 0", 2, "--threads must be"),
    ("report ck --encoding latin-1", 2, "--encoding says how to read --text; give one with it"),
    ("report ck --text nowhere", 1, "no such file: nowhere"),
    ("report ck --text empty", 1, "no text in empty"),
    ("report ck --text binary", 1, "binary is not utf-8"),
    ("report ck --baselines -q", 1, "--baselines needs a text that the model did not learn from"),
    ("info nowhere", 1, "no checkpoint at nowhere"),
    ("list nowhere", 1, "no folder nowhere"),
    ("train - -", 2, "found - twice"),
    ("evaluate - - -c ck", 2, "found - twice"),
    ("sample -c ck --seeds - --corpus - --unique -n 3", 2, "- names it twice"),
    ("sample -c ck --corpus latin --unique", 1, "latin is not utf-8"),
    ("sample -c ck --random-seed 9999999999999999999", 2, "from 0 to 9,223,372,036,854,775,807"),
    ("sample -c ck -t inf", 2, "--temperature must be 0 or more, and finite; found inf"),
    ("evaluate -c device", 1, "/dev/zero, which the checkpoint device names as its text"),
    ("evaluate -c nul", 1, "which the checkpoint nul names as its text, is not a regular file"),
    ("evaluate -c surrogate", 1, "which the checkpoint surrogate names as its text"),
    ("info nan", 1, "nan/history.jsonl is damaged (Infinity is not valid JSON)"),
]


PROCESSES = [
    "train",
    "train text --budget soon",
    "train text --units 16384 --layers 64 --window 1 --batch-size 1",
    "train cut.gz",
    "train text -o foreign --force",
    "train --resume -o ck",
    "sample -c bomb",
    "sample -c huge",
    "sample -c link",
    "sample -c ck --match X --tries 3",
    "sample -c ck --seeds latin",
    "evaluate text -c ck --per line --threshold nan",
    "evaluate -c ck",
    "sample -c nested",
    "forecast",
    "--loud",
]
"""Lines that are run by a process of their own too."""

ROWS = {line: (line, status, message) for line, status, message in WRONG}
assert len(ROWS) == len(WRONG)


def files_in(folder: Path) -> dict[Path, tuple[int, int]]:
    """Everything in a folder, with what changes when it is written."""
    states = {path: path.lstat() for path in folder.rglob("*")}
    return {path: (state.st_mtime_ns, state.st_size) for path, state in states.items()}


def check(run: Run, folder: Path, line: str, status: int, message: str) -> None:
    before = files_in(folder)
    result = run(folder, *line.split())
    shown = result.stderr.decode()
    assert result.returncode == status, shown
    assert message in shown
    assert shown.startswith("chargen: error: ")
    assert shown.count("\n") == 1, shown
    assert not shown.endswith(".\n"), "a message is no sentence of its own"
    assert result.stdout == b""
    assert files_in(folder) == before, "a refused command changed a file"


@pytest.mark.parametrize(("line", "status", "message"), ROWS.values(), ids=ROWS)
def test_wrong_input_is_one_clear_line(line: str, status: int, message: str, folder: Path):
    check(run_here, folder, line, status, message)


@pytest.mark.parametrize(
    ("line", "status", "message"), [ROWS[line] for line in PROCESSES], ids=PROCESSES
)
def test_wrong_input_is_one_clear_line_of_a_process(
    line: str, status: int, message: str, folder: Path
):
    check(run_process, folder, line, status, message)
