"""InfluxQL text to statements."""
