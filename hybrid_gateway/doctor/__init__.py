"""``manage.py gateway doctor``: what is wrong between a project, its servers, its databases and the gateway.

How this works: ``command_files`` finds the command lines by which a project is served, ``command_lines`` reads each as
a :class:`ServerCommand`. Each other module has one concern and yields a :class:`Finding` for each thing it knows;
``examination`` asks them one after the other and guards itself against all of them. Nothing is ever changed: files are
read, databases and caches are asked.
"""
