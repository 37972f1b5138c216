package proxy

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"holdfast/pkg/exchange"
	"holdfast/pkg/route"
)

// attempt is a request to one target, until its answer has been read or given up.
//
// Its time runs out when the backend does nothing: it stands still while the request's body waits for the client.
type attempt struct {
	j      *job
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
	undo   func() bool // takes back that it ends with the Proxy

	mu       sync.Mutex
	body     *exchange.Reader // nil when the request has none
	bodyErr  error            // how reading it failed
	answered bool             // the head of the answer is here: the timer is respond's
	conns    []*conn          // of which only the last was written to
	reused   bool             // that one had served another request before
}

func (j *job) newAttempt() *attempt {
	a := &attempt{j: j}
	a.ctx, a.cancel = context.WithCancelCause(j.x.Context())
	a.undo = context.AfterFunc(j.p.ctx, func() { a.cancel(errClosing) })
	a.timer = time.AfterFunc(j.p.opt.Timeout, func() { a.cancel(errTimeout) })
	return a
}

// try sends the request to a target and waits for the head of the answer. Without a failure the caller closes the attempt. When a
// kept connection turns out to be dead, the request is sent once more on a new one.
func (j *job) try(t *route.Target) (*attempt, *http.Response, *failure) {
	a := j.newAttempt()
	resp, err := a.send(t, false)
	if err != nil && a.mayRepeat(err) {
		j.p.stats.Retries.Add(1)
		a.close()
		a = j.newAttempt()
		resp, err = a.send(t, true)
	}
	if err != nil {
		f := a.failed(err, t)
		a.close()
		return nil, nil, f
	}
	return a, resp, nil
}

// send makes the attempt: on a connection of the pool if there is one, or on a new one that is not kept.
func (a *attempt) send(t *route.Target, anew bool) (*http.Response, error) {
	req, err := a.request(t)
	if err != nil {
		return nil, err
	}
	resp, err := a.j.p.transport(t, anew).RoundTrip(req)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answered = true
	a.timer.Stop()
	return resp, err
}

// mayRepeat reports whether the request may be sent once more after an error of send: the connection was a kept one, which the
// backend closed without a byte of an answer, and either nothing of the request was written to it or doing it twice does no harm.
func (a *attempt) mayRepeat(err error) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.reused || a.bodyErr != nil || a.ctx.Err() != nil || a.causeOf(err) != CauseEOF {
		return false
	}
	c := a.conn()
	if c.answered.Load() || c.written.Load() && !a.j.idempotent() {
		return false
	}
	return !a.j.x.TooLong()
}

// causeOf tells what an error of net/http means. What it cannot name is no response that it cannot read when none has come. The
// caller holds mu.
func (a *attempt) causeOf(err error) Cause {
	cause, c := causeOf(err), a.conn()
	if cause == CauseParse && c != nil && c.closed.Load() && !c.answered.Load() {
		return CauseEOF // found out while writing
	}
	return cause
}

// conn is the connection that the request went to, or nil. The caller holds mu.
func (a *attempt) conn() *conn {
	if len(a.conns) == 0 {
		return nil
	}
	return a.conns[len(a.conns)-1]
}

// idempotent reports whether the request may be sent twice (RFC 9110 9.2.2).
func (j *job) idempotent() bool {
	switch j.x.Request.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	return slices.ContainsFunc(idempotencyKeys, func(name string) bool { return all(&j.x.Request, name) != nil })
}

// close frees the attempt. The connection is closed if its answer has not been read to the end.
func (a *attempt) close() {
	a.undo()
	a.timer.Stop()
	a.cancel(errFinished)
	for _, c := range a.conns {
		c.user.CompareAndSwap(a, nil)
	}
}

// failed tells what an error in the course of the attempt means.
func (a *attempt) failed(err error, t *route.Target) *failure {
	f := &failure{err: err, target: t.Addr}
	a.mu.Lock()
	defer a.mu.Unlock()
	bodyErr := a.bodyErr
	cause := context.Cause(a.ctx)
	switch {
	case a.j.x.Context().Err() != nil || cause == errClosing || bodyErr == exchange.ErrClientGone:
		f.quiet = true
	case cause == errTimeout:
		f.cause, f.err, f.status, f.text = CauseTimeout, errTimeout, http.StatusGatewayTimeout, "The backend did not answer in time."
	case bodyErr != nil:
		f.cause, f.err, f.status, f.text = CauseBody, bodyErr, http.StatusBadRequest, "The request's body is incomplete."
	default:
		f.cause = a.causeOf(err)
	}
	if f.cause == CauseBlocked {
		f.debug = "Error: Origin host/IP blocked."
	}
	return f
}

func (a *attempt) request(t *route.Target) (*http.Request, error) {
	r, x := &a.j.x.Request, a.j.x
	host := or(or(t.AsHost, or(a.j.route.AsHost, r.Host)), "localhost") // Pushpin's, when the client names none
	req := &http.Request{
		Method: r.Method, URL: &url.URL{Scheme: "http", Host: t.Addr}, Host: host, Header: a.j.header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	if t.TLS {
		req.URL.Scheme = "https"
		if !t.TrustConnectHost {
			_, port, err := net.SplitHostPort(t.Addr)
			if err != nil {
				return nil, err
			}
			req.URL.Host = net.JoinHostPort(strings.ToLower(hostname(host)), port)
		}
	}
	setTarget(req.URL, a.j.route, r.Target, host)
	if err := a.setBody(req, x); err != nil {
		return nil, err
	}
	ctx := context.WithValue(a.ctx, attemptKey{}, a)
	return req.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: a.gotConn})), nil
}

// hostname is the host of HOST or HOST:PORT, without brackets.
func hostname(authority string) string {
	if host, _, err := net.SplitHostPort(authority); err == nil {
		return host
	}
	return strings.Trim(authority, "[]")
}

// setTarget has net/http write path and query as the client sent them, but for what the route rewrites.
func setTarget(u *url.URL, r *route.Route, target, host string) {
	if target == "*" {
		u.Opaque = target
		return
	}
	path, query, hasQuery := strings.Cut(target, "?")
	path = string(r.AppendPath(nil, []byte(path)))
	u.Opaque, u.RawQuery, u.ForceQuery = path, query, hasQuery
	if strings.HasPrefix(path, "//") { // which net/http takes for an authority
		u.Opaque = ""
		u.Path, u.RawPath = unescape(path), path
		if u.EscapedPath() != path {
			u.Opaque = "//" + host + path // absolute-form, RFC 9112 3.2.2
		}
	}
}

func unescape(path string) string {
	s, err := url.PathUnescape(path)
	if err != nil {
		return ""
	}
	return s
}

// setBody gives req its body, in a form that net/http does not send again by itself: on how many of its idle connections it would
// try is nobody's to say. What it can repeat is GET, HEAD, OPTIONS and TRACE without a body, everything with GetBody or an
// Idempotency-Key, and what it has written nothing of.
func (a *attempt) setBody(req *http.Request, x *exchange.Exchange) error {
	length := x.Request.Length
	if length < 0 {
		if n, whole := x.Whole(wholeTime); whole { // backends get a length where there is one to give
			length = n
		}
	}
	if length == 0 {
		req.TransferEncoding = []string{"identity"} // has net/http write Content-Length: 0
		req.Body = http.NoBody
		switch req.Method {
		case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
			req.Body = noBody{} // with which it writes no framing at all
		}
		return nil
	}
	r, err := x.Reader()
	if err != nil {
		return err
	}
	a.mu.Lock()
	a.body = r
	a.mu.Unlock()
	req.ContentLength, req.Body = length, &requestBody{a, r}
	return nil
}

// wholeTime is how long the end of a body is waited for whose length is not known: one that came with the head is here by then.
const wholeTime = 20 * time.Millisecond

// noBody is an empty body that net/http does not know for one.
type noBody struct{}

func (noBody) Read([]byte) (int, error)         { return 0, io.EOF }
func (noBody) WriteTo(io.Writer) (int64, error) { return 0, nil } // saves a buffer
func (noBody) Close() error                     { return nil }

// gotConn is called by net/http for each connection that it tries, before it writes.
func (a *attempt) gotConn(info httptrace.GotConnInfo) {
	c, ok := info.Conn.(*conn)
	if !ok {
		return
	}
	c.written.Store(false)
	c.answered.Store(false)
	c.user.Store(a)
	a.mu.Lock()
	a.conns, a.reused = append(a.conns, c), info.Reused
	a.mu.Unlock()
}

// stopBody ends the reading of the request's body.
func (a *attempt) stopBody(err error) {
	a.mu.Lock()
	r := a.body
	a.mu.Unlock()
	if r != nil {
		r.Stop(err)
	}
}

// requestBody is what net/http reads the request's body from.
type requestBody struct {
	a *attempt
	*exchange.Reader
}

// Read waits for the client, in which time the backend's does not run.
func (b *requestBody) Read(p []byte) (n int, err error) {
	b.a.mu.Lock()
	if !b.a.answered {
		b.a.timer.Stop()
	}
	b.a.mu.Unlock()
	n, err = b.Reader.Read(p)
	b.a.mu.Lock()
	defer b.a.mu.Unlock()
	if !b.a.answered {
		b.a.timer.Reset(b.a.j.p.opt.Timeout)
	}
	if err != nil && err != io.EOF && b.a.bodyErr == nil && !exchange.IsStopped(err) && err != errFinished {
		b.a.bodyErr = err
	}
	return n, err
}
