"""Make ``vidsal/data/imagenet_classes.tsv`` from the lists inside the ``timm`` wheel.

A maintainer runs this once. The script reads the wheel and does not install it::

    pip download --no-deps timm==1.0.31
    python scripts/make_imagenet_classes.py timm-1.0.31-py3-none-any.whl

Each line of the result is ``index<TAB>wnid<TAB>synonyms``: the class index of the ILSVRC-2012
classification task (0 to 999), the WordNet identifier, and the comma-separated names.
"""

from __future__ import annotations

import argparse
import hashlib
import zipfile
from pathlib import Path

WNIDS = "timm/data/_info/imagenet_synsets.txt"
SYNONYMS = "timm/data/_info/imagenet_synset_to_lemma.txt"
RESULT = Path(__file__).resolve().parents[1] / "vidsal" / "data" / "imagenet_classes.tsv"
CLASSES = 1000


def make_table(wnids: str, synonyms: str) -> str:
    """Return the table of classes, made from the class order and the class names.

    Parameters
    ----------
    wnids : str
        One WordNet identifier per line, in class order.
    synonyms : str
        One ``wnid<TAB>names`` per line, in any order, for a superset of the classes.

    Returns
    -------
    str
        One ``index<TAB>wnid<TAB>names`` per line. Each line ends with a newline.

    Raises
    ------
    KeyError
        If a class has no name.
    ValueError
        If the identifiers are not 1000 different, sorted ones.
    """
    names = dict(line.split("\t") for line in synonyms.splitlines())
    order = wnids.split()
    # The task numbers its classes in the order of their identifiers. The check therefore detects a
    # shuffled or incomplete list, which would give classes wrong names without an error.
    if len(set(order)) != CLASSES or order != sorted(order):
        raise ValueError(f"expected {CLASSES} different, sorted WordNet identifiers")
    return "".join(f"{i}\t{wnid}\t{names[wnid].strip()}\n" for i, wnid in enumerate(order))


def main() -> None:
    """Read the wheel, write the table and print its checksum."""
    parser = argparse.ArgumentParser(description="Make the table of ImageNet classes.")
    parser.add_argument("wheel", type=Path, help="a timm wheel")
    parser.add_argument("-o", "--output", type=Path, default=RESULT, help="file to write")
    arguments = parser.parse_args()

    with zipfile.ZipFile(arguments.wheel) as wheel:
        table = make_table(wheel.read(WNIDS).decode(), wheel.read(SYNONYMS).decode())
    content = table.encode()
    arguments.output.write_bytes(content)  # as bytes: the same line endings on every system
    print(f"result {hashlib.sha256(content).hexdigest()}  {arguments.output.name}")


if __name__ == "__main__":
    main()
