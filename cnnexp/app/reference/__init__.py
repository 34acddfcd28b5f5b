"""Settings, presets and run folders as data: what the help and the reference are made from."""
