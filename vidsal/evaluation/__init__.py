"""How good the maps are: against people, objects and the network itself."""
