"""The stores: the contract that all of them pass, and what is particular to one."""
