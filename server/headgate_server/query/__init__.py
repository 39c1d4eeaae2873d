"""An InfluxQL query, from its text to its results."""
