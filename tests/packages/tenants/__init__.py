"""The app that django-tenants wants, with the models that a project with tenants has."""
