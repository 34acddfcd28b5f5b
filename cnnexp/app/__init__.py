"""The command line: configs, commands, and everything that is printed."""
