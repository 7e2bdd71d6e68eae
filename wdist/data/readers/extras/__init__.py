"""Readers of formats whose packages come with an extra of wdist: Excel and AnnData."""
