"""How a token can fail."""


class MissingToken(Exception):
    """There is none."""


class InvalidToken(Exception):
    """It does not hold; the words are for the client and say nothing that the token said."""


class KeysUnavailable(Exception):
    """Nobody can tell, for there are no keys to check it with."""

    def __init__(self, retry_after):
        super().__init__("no keys")
        self.retry_after = retry_after
