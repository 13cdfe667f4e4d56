"""HTTP on sockets that strangers cannot hold: one exchange at a time, addresses checked, bytes bounded."""
