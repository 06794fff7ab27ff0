"""Letters that pass for Latin ones: our own short table, by eye. Pure.

Only what looks the same in common fonts at reading size is here. It need not be complete to be of
use: in names every foreign letter is shown as an escape, and in prose every word that mixes
scripts; this table is for whole words in one foreign script that read as a Latin one.
"""

from __future__ import annotations

from typing import Final

_PAIRS: Final = {
    "CYRILLIC": (
        "\u0430a\u0435e\u043eo\u0440p\u0441c\u0443y\u0445x\u0456i\u0458j\u0455s\u04bbh\u0501d"
        "\u051bq\u051dw\u0461w\u04cfl\u0475v\u04afy\u0410A\u0412B\u0415E\u041aK\u041cM\u041dH"
        "\u041eO\u0420P\u0421C\u0422T\u0423Y\u0425X\u0406I\u0408J\u0405S\u050cG\u051aQ\u051cW"
        "\u0474V\u04c0I\u04aeY"
    ),
    "GREEK": (
        "\u03bfo\u03b1a\u03bdv\u03c1p\u03b9i\u03c5u\u03f2c\u03f3j\u0391A\u0392B\u0395E\u0396Z"
        "\u0397H\u0399I\u039aK\u039cM\u039dN\u039fO\u03a1P\u03a4T\u03a5Y\u03a7X\u03f9C"
    ),
    "ARMENIAN": (
        "\u0585o\u0578n\u057du\u0570h\u0581g\u0566q\u0575j\u056bh\u0561w\u056cl\u0584p\u0555O\u054dU"
        "\u054fS\u053cL"
    ),
    "CHEROKEE": (
        "\u13a0D\u13a1R\u13a2T\u13a9Y\u13aaA\u13abJ\u13acE\u13b3W\u13b7M\u13bbH\u13c0G\u13c2h\u13c3Z"
        "\u13cfb\u13d2R\u13d4W\u13d5S\u13d9V\u13daS\u13deL\u13dfC\u13e2P\u13e6K\u13e7d\u13f3G\u13f4B"
    ),
    "COPTIC": "\u2c9fo\u2c9eO\u2ca3p\u2ca2P\u2ca5c\u2ca4C\u2c93i\u2c92I\u2c95k\u2c94K\u2c98M",
    "LISU": (
        "\ua4d0B\ua4d1P\ua4d3D\ua4d4T\ua4d6G\ua4d7K\ua4d9J\ua4daC\ua4dcZ\ua4ddF\ua4dfM\ua4e0N\ua4e1L"
        "\ua4e2S\ua4e3R\ua4e6V\ua4e7H\ua4eaW\ua4ebX\ua4ecY\ua4eeA\ua4f0E\ua4f2I\ua4f3O\ua4f4U"
    ),
    "KATAKANA": "\u30ce/\u30ed0\u30a8I",
    "CJK": "\u4e00-\u53e30\u5de5I\u4e28l\u4e36,\u4e3f/\u4e59Z\u535cF",
    "HANGUL": "\u3163l\u3161-\u1175l\u1173-",
    "LATIN": "\u0251a\u0261g\u0269i\u01c0l\u01c3!\ua78cl\u1d04c\u1d0fo\u1d20v\u1d21w\u1d22z",
}
"""By script: each foreign letter followed by what it looks like."""

LOOKS: Final[dict[str, str]] = {
    pairs[at]: pairs[at + 1] for pairs in _PAIRS.values() for at in range(0, len(pairs), 2)
}
"""A letter to the ASCII character that it passes for."""
