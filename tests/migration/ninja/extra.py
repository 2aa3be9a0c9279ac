"""An API of django-ninja-extra: a controller that lets nobody in, functions beside it, tokens of django-ninja-jwt."""

from ninja_extra import ControllerBase, NinjaExtraAPI, api_controller, http_get
from ninja_extra.permissions import IsAuthenticated

api = NinjaExtraAPI(urls_namespace="extra")


@api_controller("/closed", permissions=[IsAuthenticated])
class ClosedController(ControllerBase):
    @http_get("/")
    def closed(self):
        return {"secret": True}


@api.get("/plain")
def plain(request):
    return {"plain": True}


api.register_controllers(ClosedController)
