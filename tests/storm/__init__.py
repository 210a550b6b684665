"""The storm: real nodes on one store, a network that loses, repeats, delays and truncates messages, and thieves."""
