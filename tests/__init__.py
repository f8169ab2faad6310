"""unit/ needs nothing; integration/ starts its own servers; e2e/ runs the whole product.

faults/ breaks things on purpose (`make faults`); gpu/ needs a GPU.
"""
