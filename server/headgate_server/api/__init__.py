"""HTTP endpoints, one file for each resource, and the table that maps errors to statuses."""
