package session

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"holdfast/pkg/demo"
	"holdfast/pkg/http1"
)

// endpoint is what a path serves.
type endpoint struct {
	// begin answers or holds the request in hand, a GET, or a HEAD when head is set.
	begin func(c *Clients, id uint32, cl *client, head bool)
	// subscribes says that the request names channels: it passes the checks of who may come in first.
	subscribes bool
}

var endpoints = map[string]endpoint{
	"/events":           {(*Clients).beginEvents, true},
	"/stream":           {(*Clients).beginStream, true},
	"/poll":             {(*Clients).poll, true},
	"/ws":               {func(c *Clients, id uint32, cl *client, _ bool) { c.upgrade(id, cl) }, true},
	"/":                 {(*Clients).demoPage, false},
	"/demo/connections": {(*Clients).demoConnections, false},
	"/health":           {(*Clients).health, false},
	"/ready":            {(*Clients).ready, false},
}

const allowField = "Allow: GET, HEAD, OPTIONS\r\n"

// serve answers the request in hand, holds it, or has its token checked: then it comes back here.
func (c *Clients) serve(id uint32, cl *client) {
	c.cors, c.fixed, c.expiry = corsNone, nil, time.Time{}
	c.verdict = c.takeVerdict(id)
	if c.opts.Routes != nil {
		c.serveRoute(id, cl)
		return
	}
	c.serveDirect(id, cl)
}

// serveDirect serves channels without a backend.
func (c *Clients) serveDirect(id uint32, cl *client) {
	r := &c.req
	e, found := endpoints[string(c.plain(r.Path))]
	if c.fixed != nil {
		e, found = c.fixedEndpoint(), true
	}
	method := string(r.Method)
	if e.subscribes && !c.checkOrigin(id, cl) {
		return
	}
	switch {
	case method == "OPTIONS" && (found || string(r.Path) == "*"):
		c.options(id, cl)
		return
	case !found:
		c.answer(id, cl, 404, "not found: /events, /stream, /poll and /ws are served here", "")
		return
	case method != "GET" && method != "HEAD":
		c.answer(id, cl, 405, "method not allowed: this is for GET", allowField)
		return
	case r.ContentLength > 0:
		c.answer(id, cl, 413, noContent, "")
		return
	case r.Chunked && !c.emptyBody(id, cl):
		return
	}
	if e.subscribes && !c.admitted(id, cl) {
		return
	}
	e.begin(c, id, cl, method == "HEAD")
}

// plain is path without needless percent-encoding, as endpoints and routes are written. It is
// good until the next call.
func (c *Clients) plain(path []byte) []byte {
	if bytes.IndexByte(path, '%') < 0 {
		return path
	}
	c.line = http1.AppendPlainPath(c.line[:0], path)
	return c.line
}

const noContent = "content too large: a request here has no body"

// emptyBody takes the chunked body of the request in hand, which must be empty, as some clients
// and proxies send it. When it reports false the request is answered, or the connection waits for
// the body's end: Clients.Data comes to it again.
func (c *Clients) emptyBody(id uint32, cl *client) bool {
	n, err := http1.EmptyChunked(c.behind)
	bad, malformed := errors.AsType[*http1.Error](err)
	switch {
	case err == nil:
		c.body, c.req.Chunked = n, false
		return true
	case malformed:
		c.answer(id, cl, bad.Status, bad.Text, "")
	case errors.Is(err, http1.ErrContent), c.req.ExpectContinue,
		c.head+len(c.behind) > c.limits.MaxHead:
		c.answer(id, cl, 413, noContent, "")
	case cl.phase == idle:
		c.t.Arm(id, c.opts.HeaderTimeout)
		fallthrough
	default:
		cl.phase = ending
	}
	return false
}

// fixedEndpoint is what serves a route whose channels are fixed, whatever the path: a WebSocket to who upgrades, events to who
// accepts them, else a stream.
func (c *Clients) fixedEndpoint() endpoint {
	switch {
	case c.req.Upgrades("websocket"):
		return endpoints["/ws"]
	case c.req.HasToken("Accept", "text/event-stream"):
		return endpoints["/events"]
	}
	return endpoints["/stream"]
}

// admitted parses the parameters of a request that names channels and checks that its client may have them. When it reports
// false the request is answered, or waits.
func (c *Clients) admitted(id uint32, cl *client) bool {
	if c.draining {
		c.answer(id, cl, 503, "going down: come back in a moment", "Retry-After: 1\r\n")
		return false
	}
	if err := c.parseQuery(); err != nil {
		c.answer(id, cl, 400, err.Error(), "")
		return false
	}
	return c.checkToken(id, cl) && c.checkAddress(id, cl)
}

// options answers what a browser asks before it lets a page send a request (the Fetch standard, CORS-preflight), and whoever
// else wants to know what is allowed.
func (c *Clients) options(id uint32, cl *client) {
	fields := allowField
	if c.cors != corsNone {
		fields += "Access-Control-Allow-Methods: GET, HEAD\r\n" +
			"Access-Control-Allow-Headers: Authorization, Cache-Control, Last-Event-ID\r\n" +
			"Access-Control-Max-Age: 7200\r\n"
	}
	c.answerEmpty(id, cl, 204, fields)
}

// health answers that pushd lives and is well.
func (c *Clients) health(id uint32, cl *client, _ bool) { c.answerProbe(id, cl, "ok") }

// ready answers whether new clients are welcome.
func (c *Clients) ready(id uint32, cl *client, _ bool) {
	if c.draining {
		c.answer(id, cl, 503, "draining", noStore)
		return
	}
	c.answerProbe(id, cl, "ready")
}

// answerProbe answers 200 with text, or 503 with what is wrong with pushd.
func (c *Clients) answerProbe(id uint32, cl *client, text string) {
	status := 200
	if c.opts.Trouble != nil {
		if trouble := c.opts.Trouble(); trouble != "" {
			status, text = 503, trouble
		}
	}
	c.answer(id, cl, status, text, noStore)
}

// demoPage answers with the page that shows what is published.
func (c *Clients) demoPage(id uint32, cl *client, _ bool) {
	c.answerWith(id, cl, 200, "text/html; charset=utf-8", demo.Page(),
		"Content-Security-Policy: "+demo.Policy()+"\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n"+noStore)
}

// demoConnections answers with the number of connections, for the demo page.
func (c *Clients) demoConnections(id uint32, cl *client, _ bool) {
	c.answerWith(id, cl, 200, "application/json", fmt.Appendf(nil, "{\"connections\":%d}\n", c.opts.Connections()), noStore)
}
