"""Ends TLS connections without waiting for their clients."""

import asyncio

TLS_CLOSE_SECONDS = 0.5


def abort_after_close(transport: asyncio.Transport) -> None:
    """Aborts a TLS connection soon after it was closed and all was sent. Ignores others.

    Over TLS, closing waits for the client's close_notify, which may never arrive. Checks every
    0.5 s. The connection may still be open when this is called.
    """
    if transport.get_extra_info("sslcontext") is None:
        return
    if transport.is_closing() and not transport.get_write_buffer_size():
        transport.abort()
    else:
        loop = asyncio.get_running_loop()
        loop.call_later(TLS_CLOSE_SECONDS, abort_after_close, transport)
