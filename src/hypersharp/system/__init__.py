"""What the machine and its disk are asked for: atomic files, memory, build information."""
