// Package origin decides which web pages may use pushd, by the Origin field of their requests
// (RFC 6454, and the CORS protocol of the Fetch standard). Parse reads the values of
// --allow-origin, Rules.Check judges a request.
//
// Without values a page passes from the host that it asks (Same), and on a loopback listener one
// from any origin on the user's own machine (Any). Values add to that; they take nothing away.
// Behind a proxy that ends TLS the scheme of a request is not known here, so http and https of
// one host are the same host.
//
// Pages are what this is about. A browser writes "null" or scheme://host into the field. On a
// loopback listener a bare host there, as Tsung sends it, says that no browser wrote it, and
// counts as no field (NoPage).
//
// An Origin field is what a browser says about a page. It does not tell who the user is, other
// clients write into it what they like, and a page whose name was made to resolve to this machine
// (DNS rebinding) has the same host: where that matters, tokens decide. A request without the
// field is not for Check; it comes from no page, or from one of the same host.
package origin
