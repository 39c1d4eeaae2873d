"""Numbers of JSON documents, kept as text so that no digit changes."""


class Number(str):
    """A number with a fraction or an exponent, as the server wrote it.

    A float could print other digits.
    """
