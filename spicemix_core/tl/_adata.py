"""Where the functions of this room write their tables."""


def store(adata, name, table, **settings):
    adata.uns.setdefault("spicemix", {})[name] = {"table": table, **settings}
