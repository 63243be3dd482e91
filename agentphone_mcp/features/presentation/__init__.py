"""Write results and errors as a model reads them."""
