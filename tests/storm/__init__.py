"""The storm: real nodes over one store, a network that loses, repeats, delays and cuts, and thieves among the users."""
