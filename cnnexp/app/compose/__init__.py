"""From what was typed to a composed config: the words, Hydra, and its errors in our words."""
