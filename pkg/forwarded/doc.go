// Package forwarded tells where a client is that connects through proxies: it reads the PROXY protocol's header and the
// X-Forwarded-For field, both on bytes, and counts connections by the address that comes out.
//
// Anybody can send such a header. Whether a connection's peer may, by the prefixes of ParsePrefixes, is for Client to
// decide in the case of X-Forwarded-For, and for the caller in the case of ParseProxy, which does not know the peer.
package forwarded
