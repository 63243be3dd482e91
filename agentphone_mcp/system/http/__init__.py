"""Keep clients of an HTTP server on this machine within bounds: time, bytes, connections, hosts and origins."""
