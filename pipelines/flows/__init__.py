"""One module per job: wires stages, io, launch together."""
