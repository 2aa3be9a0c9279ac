"""The subcommands of ``manage.py gateway``, a module each: its ``add_arguments(parser)`` and ``handle(command, …)``."""
