"""Numbers of JSON documents, kept as text."""


class Number(str):
    """A number with a fraction or an exponent, as the server wrote it; a float could differ."""
