"""A kill loop: the whole pipeline runs again and again while its processes and servers are killed, and heals: `make chaos`."""
