"""What the tests share: servers, programs, generators, upstreams, fixtures."""
