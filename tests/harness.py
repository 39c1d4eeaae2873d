"""What benchmarks and the tests of the documentation use: a server as it is started by hand."""

from support.server_process import ServerProcess as Server
from support.servers import ROOT, Answer
from support.waiting import free_port, poll_until

__all__ = ["ROOT", "Answer", "Server", "free_port", "poll_until"]
