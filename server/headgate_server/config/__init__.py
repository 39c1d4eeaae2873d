"""The settings, and the code that reads settings from flags, environment and `influxdb.conf`."""
