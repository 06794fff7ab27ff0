"""The proof: attacks on real boxes, airlocks and houses, and twins that show each could succeed."""
