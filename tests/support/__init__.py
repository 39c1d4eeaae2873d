"""Code that several tests use: servers, programs, generators, upstreams, fixtures."""
