"""The form of a text in which twins are found."""

import unicodedata


def canonical(text: str) -> str:
    """Equal for texts that differ only in the form of accents, in line ends, or in blanks around.

    Such a twin of a held-out prompt must not land in training.
    """
    unified = text.replace("\r\n", "\n").replace("\r", "\n").strip()
    return unified if unified.isascii() else unicodedata.normalize("NFC", unified)
