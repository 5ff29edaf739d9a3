"""OAuth2 bearer tokens: whether a request has one that holds.

middleware  takes the token out of a request, and answers those without
verify      what a token must be
keystore    which keys there are: a copy in this process, memcached, the provider; and who fetches when
keyset      the keys of one fetch
provider    the two documents of the provider
fetch       one document over https
memory      memcached that may fail
seal        what makes an entry of memcached's trustworthy
"""
