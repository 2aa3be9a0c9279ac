"""The first steps in a project: ``python -m hybrid_gateway init`` and ``manage.py startapi``. No server loads this."""
