package proxy

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
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
	body     *exchange.Reader // the newest one
	bodyErr  error            // how reading it failed
	answered bool             // the head of the answer is here: the timer is respond's
	conns    []*conn          // used so far
}

func (j *job) newAttempt() *attempt {
	a := &attempt{j: j}
	a.ctx, a.cancel = context.WithCancelCause(j.x.Context())
	a.undo = context.AfterFunc(j.p.ctx, func() { a.cancel(errClosing) })
	a.timer = time.AfterFunc(j.p.opt.Timeout, func() { a.cancel(errTimeout) })
	return a
}

// try sends the request to a target and waits for the head of the answer. Without a failure the caller closes the attempt.
func (j *job) try(t *route.Target) (*attempt, *http.Response, *failure) {
	a := j.newAttempt()
	req, err := a.request(t)
	var resp *http.Response
	if err == nil {
		resp, err = j.p.transport(t).RoundTrip(req)
	}
	a.mu.Lock()
	a.answered = true
	a.timer.Stop()
	if n := len(a.conns); n > 1 {
		j.p.stats.Retries.Add(uint64(n - 1))
	}
	a.mu.Unlock()
	if err != nil {
		f := a.failed(err, t)
		a.close()
		return nil, nil, f
	}
	return a, resp, nil
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
	bodyErr := a.bodyErr
	a.mu.Unlock()
	cause := context.Cause(a.ctx)
	switch {
	case a.j.x.Context().Err() != nil || cause == errClosing || bodyErr == exchange.ErrClientGone:
		f.quiet = true
	case cause == errTimeout:
		f.cause, f.err, f.status, f.text = CauseTimeout, errTimeout, http.StatusGatewayTimeout, "The backend did not answer in time."
	case bodyErr != nil:
		f.cause, f.err, f.status, f.text = CauseBody, bodyErr, http.StatusBadRequest, "The request's body is incomplete."
	default:
		f.cause = causeOf(err)
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
	return req.WithContext(httptrace.WithClientTrace(a.ctx, &httptrace.ClientTrace{GotConn: a.gotConn})), nil
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

func (a *attempt) setBody(req *http.Request, x *exchange.Exchange) (err error) {
	length := x.Request.Length
	if length < 0 {
		if n, whole := x.Whole(); whole { // backends get a length where there is one to give
			length = n
		}
	}
	if length == 0 {
		req.Body = http.NoBody
		switch req.Method {
		case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		default:
			req.TransferEncoding = []string{"identity"} // has net/http write Content-Length: 0
		}
		return nil
	}
	req.ContentLength, req.GetBody = length, a.newBody
	req.Body, err = a.newBody()
	return err
}

// gotConn is called by net/http for each connection that it tries, before it writes.
func (a *attempt) gotConn(info httptrace.GotConnInfo) {
	c, ok := info.Conn.(*conn)
	if !ok {
		return
	}
	c.user.Store(a)
	a.mu.Lock()
	a.conns = append(a.conns, c)
	a.mu.Unlock()
}

// newBody returns the request's body from its start.
func (a *attempt) newBody() (io.ReadCloser, error) {
	r, err := a.j.x.Reader()
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.body = r
	return &requestBody{a, r}, nil
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
