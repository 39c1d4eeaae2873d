"""The settings, and the code that reads them from flags, environment and `influxdb.conf`."""
