"""The stores: the contract that all of them pass, and tests of single ones."""
