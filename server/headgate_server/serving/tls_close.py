"""Ends TLS connections without waiting for their clients."""

import asyncio

TLS_CLOSE_SECONDS = 0.5


def abort_after_close(transport: asyncio.Transport) -> None:
    """Aborts a TLS connection at most 0.5 s after it was closed and its data was sent.

    Over TLS, closing waits for the client's close_notify, which may never arrive. *transport* may
    still be open at the call: it is checked every 0.5 s. Connections without TLS are not aborted.
    """
    if transport.get_extra_info("sslcontext") is None:
        return
    if transport.is_closing() and not transport.get_write_buffer_size():
        transport.abort()
    else:
        loop = asyncio.get_running_loop()
        loop.call_later(TLS_CLOSE_SECONDS, abort_after_close, transport)
