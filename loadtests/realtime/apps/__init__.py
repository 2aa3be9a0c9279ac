"""The same routes in every framework, as its documentation writes them."""
