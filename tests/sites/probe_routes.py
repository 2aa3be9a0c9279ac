from hybrid_gateway import Include

routes = [Include("/", "hybrid_gateway.health.routes")]
