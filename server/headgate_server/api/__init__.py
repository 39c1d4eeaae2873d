"""HTTP endpoints: one file for each path or protocol, and the table of errors and statuses."""
