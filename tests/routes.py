from hybrid_gateway import get


@get("/hello")
async def hello() -> dict[str, str]:
    return {"message": "Hello, World!"}


routes = [hello]
