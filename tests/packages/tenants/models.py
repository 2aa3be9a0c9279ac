"""Who the tenants are."""

from django.db import models
from django_tenants.models import DomainMixin, TenantMixin


class Client(TenantMixin):
    name = models.CharField(max_length=20)


class Domain(DomainMixin):
    pass
