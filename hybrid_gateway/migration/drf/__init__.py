"""Django REST framework: what its routes, serializers, filters and permissions are, asked of the loaded project."""
