// Package demo is the page that pushd serves to a browser that asks for "/": a live view of one channel over
// EventSource, WebSocket or long poll. It is one file that loads nothing else; serving it is left to others.
package demo

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
)

//go:embed index.html
var page []byte

var pagePolicy = policy(page)

// Page returns the HTML page. It is shared and must not be changed.
func Page() []byte { return page }

// Policy returns the Content-Security-Policy under which the page works: nothing but its own style and script, WebSockets
// and requests to where it came from, and no text that becomes markup.
func Policy() string { return pagePolicy }

// policy names the style and the script of page by their hashes (CSP Level 3, 6.7.2.4). It panics when the page does not
// have exactly one of each.
func policy(page []byte) string {
	return "default-src 'none'; style-src " + source(page, "style") + "; script-src " + source(page, "script") +
		"; connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'" +
		"; require-trusted-types-for 'script'"
}

// source is the hash source of the only element of that name.
func source(page []byte, element string) string {
	_, rest, found := bytes.Cut(page, []byte("<"+element+">"))
	text, rest, ended := bytes.Cut(rest, []byte("</"+element+">"))
	if !found || !ended || bytes.Contains(rest, []byte("<"+element)) {
		panic("demo: the page has not exactly one " + element)
	}
	hash := sha256.Sum256(text)
	return "'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) + "'"
}
