from django.http import HttpResponse, StreamingHttpResponse
from django.urls import path


def whole(request):
    return HttpResponse("whole")


def stream(request):
    return StreamingHttpResponse(iter(["a", "b"]))


def later(request):
    async def parts():
        yield "c"
        yield "d"

    return StreamingHttpResponse(parts())


def broken(request):
    raise ValueError


urlpatterns = [path("sync/", whole), path("stream/", stream), path("later/", later), path("broken/", broken)]
