"""Fakes and conformance kits; shipped, never imported by production code."""
