"""Numbers as the server wrote them."""


class Number(str):
    """A number with a fraction or an exponent, digit by digit: no float could give it back."""
