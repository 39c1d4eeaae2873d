"""Work outside the event loop: threads, group commit, the audit."""
