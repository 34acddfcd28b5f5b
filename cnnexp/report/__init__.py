"""How runs differ: tables, plots, and pages, made from what run folders hold."""
