import logging

from asgiref.sync import sync_to_async
from django.http import HttpResponse
from django.urls import path

from hybrid_gateway.telemetry import request_id


def report(request):
    logging.getLogger("shop").warning("asked")
    return HttpResponse(f"{request.request_id} {request_id.get()}")


async def report_later(request):
    return await sync_to_async(report)(request)


urlpatterns = [path("sync/", report), path("async/", report_later)]
