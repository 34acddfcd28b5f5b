"""One run: trained, resumed, or begun again from another one, with what it shows meanwhile."""
