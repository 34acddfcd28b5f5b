"""Pictures of what a network does: stride groups, filters, feature maps, mistakes, weights."""
