"""Model providers behind one port; the scripted one is always there."""
