"""The `rac` command, one thin file per subcommand."""
