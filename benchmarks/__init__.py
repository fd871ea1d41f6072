"""Measurements: each module measures one thing with its `main()` and prints figures; `./run benchmark` runs them."""
