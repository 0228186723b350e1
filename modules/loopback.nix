# Whether the host of a URL is written as a loopback address.
url: builtins.match "https?://(127\\.[0-9.]+|\\[::1])([:/?#].*)?" url != null
