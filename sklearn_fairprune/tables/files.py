"""From a file to a table as it was written: encoding, separator, header."""

import codecs
import csv
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

TEXT_FILES = (".csv", ".tsv", ".txt")
ENDINGS = (*TEXT_FILES, ".parquet")
SEPARATORS = (",", ";", "\t", "|")
BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # begins like UTF-16's, and so comes before it
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


class FileOptions(NamedTuple):
    """How a text file is written, where it does not show by itself.

    Attributes
    ----------
    sep : str or None
        Between the cells; None: what the first lines agree on.
    encoding : str or None
        Of the text; None: by its first bytes, else UTF-8, else Windows-1252.
    decimal : str or None
        "." or ","; None: column by column.
    na : sequence of str
        Texts that mean a missing value, beside the empty cell.
    """

    sep: str | None = None
    encoding: str | None = None
    decimal: str | None = None
    na: Sequence[str] = ()


def check_options(options: FileOptions) -> None:
    """Refuse options that no file can be read with.

    Raises
    ------
    ValueError
        Naming the option, its rule and its value.
    """
    if options.sep is not None and len(options.sep) != 1:
        raise ValueError(f"sep must be one character, such as ';', got {options.sep!r}.")
    if options.decimal not in (None, ".", ","):
        raise ValueError(f"decimal must be '.' or ',', got {options.decimal!r}.")
    if options.encoding is not None:
        try:
            codecs.lookup(options.encoding)
        except (LookupError, ValueError):
            raise ValueError(
                f"encoding {options.encoding!r} is not known; try utf-8, cp1252 or utf-16."
            ) from None


def read_file(path: Path, options: FileOptions) -> tuple[pd.DataFrame, list[str], str]:
    """Read a table as it was written.

    Parameters
    ----------
    path : Path
        A file of one of `ENDINGS`.
    options : FileOptions
        Of a text file.

    Returns
    -------
    frame : DataFrame
        The cells of text files are texts, NaN where they are empty. Columns may share a name.
    notes : list of str
        What was guessed or trimmed.
    sep : str
        Separator of a text file, else "".

    Raises
    ------
    ValueError
        If the file has another ending, cannot be read, or has no rows.
    """
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise ValueError(
            f"A table must be a file of {', '.join(ENDINGS)}, got {str(path)!r}. pandas or "
            "polars can write one of these."
        )
    check_options(options)
    if ending == ".parquet":
        frame, notes, sep = _read_parquet(path), [], ""
    else:
        frame, notes, sep = _read_text(path, options)
    header = [str(name) for name in frame.columns]
    trimmed = [" ".join(name.split()) for name in header]
    trimmed = [name or f"column {k}" for k, name in enumerate(trimmed, start=1)]
    renamed = [f"{a!r} is {b!r}" for a, b in zip(header, trimmed, strict=True) if a != b]
    if renamed:
        notes.append(f"Names of columns without blanks around them: {', '.join(renamed)}.")
    frame.columns = pd.Index(trimmed, dtype=object)
    if not len(frame):
        raise ValueError(f"{path.name} has no rows below its header.")
    return frame.reset_index(drop=True), notes, sep


def _read_parquet(path):
    try:
        frame = pd.read_parquet(path)
    except ImportError:
        raise
    except Exception as error:  # pyarrow's own kinds
        raise ValueError(
            f"{path.name} cannot be read as parquet: {error} Write it again, or as .csv."
        ) from error
    return frame.reset_index() if any(frame.index.names) else frame


def _read_text(path, options):
    text, notes = _decoded(path, options.encoding)
    if not text.strip():
        raise ValueError(f"{path.name} is empty.")
    sep, default = options.sep, "\t" if path.suffix.lower() == ".tsv" else ","
    if sep is None:
        sep = guessed_separator(text, default)
        if sep != default:
            notes.append(f"{path.name} is separated by {sep!r}.")
    try:
        rows = pd.read_csv(
            io.StringIO(text),
            sep=sep,
            header=None,
            dtype=str,
            keep_default_na=False,
            na_filter=False,
            skip_blank_lines=True,
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError) as error:
        raise ValueError(
            f"{path.name} cannot be read as a table separated by {sep!r}: "
            f"{str(error).strip()}. Its first line must name the columns. Give another "
            "separator with sep (--sep), or mend the lines."
        ) from error
    header = ["" if name is None or name != name else name for name in rows.iloc[0]]
    frame = rows.iloc[1:].set_axis(header, axis=1).astype(object)
    stripped = frame.apply(lambda column: column.str.strip())
    missing = stripped.isna() | stripped.isin({"", *options.na})
    return stripped.mask(missing, np.nan), notes, sep


def _decoded(path, encoding):
    """Text of a file, and a note where its encoding was guessed."""
    raw = path.read_bytes()
    marks = (name for mark, name in BYTE_ORDER_MARKS.items() if raw.startswith(mark))
    guessed, zeros = next(marks, None), raw[:4096].count(0)
    if guessed is None and zeros > len(raw[:4096]) / 4:  # every other byte of Latin letters
        guessed = "utf-16-le" if raw[1:2] == b"\0" else "utf-16-be"
    try:
        return raw.decode(encoding or guessed or "utf-8"), []
    except UnicodeDecodeError as error:
        if encoding or guessed:
            raise ValueError(
                f"{path.name} is not written in {encoding or guessed} ({error.reason} at byte "
                f"{error.start}). Name its encoding with encoding (--encoding), such as "
                "utf-8, cp1252 or utf-16."
            ) from error
    try:
        text = raw.decode("cp1252")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return text, [
        f"{path.name} is not written in UTF-8; read as Windows-1252 (--encoding changes that)."
    ]


def guessed_separator(text: str, default: str = ",") -> str:
    """Separator that the first lines agree on.

    Parameters
    ----------
    text : str
        Of the file.
    default : str, default=","
        Where none makes columns.

    Returns
    -------
    sep : str
        That with which most of the first 100 lines have as many cells as the header, more
        than one; of several the one with the most cells.

    Examples
    --------
    >>> from sklearn_fairprune.tables.files import guessed_separator
    >>> guessed_separator("name;height\\nAnn;1,70\\nBob;1,80\\n")
    ';'
    """
    scores = {}
    lines = text[: 1 << 20].splitlines()[:101]
    for sep in SEPARATORS:
        try:
            widths = [len(row) for row in csv.reader(lines, delimiter=sep) if row]
        except csv.Error:
            continue
        if not widths or widths[0] < 2:
            continue
        scores[sep] = (Counter(widths)[widths[0]] / len(widths), widths[0], sep == default)
    return max(scores, key=lambda sep: scores[sep]) if scores else default
