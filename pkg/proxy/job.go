package proxy

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"holdfast/pkg/exchange"
	"holdfast/pkg/grip"
	"holdfast/pkg/route"
)

// failure is why an exchange does not get its backend's answer, and what it gets in its place.
type failure struct {
	cause  Cause
	status int    // 0 for 502
	text   string // "" for the usual one
	debug  string // takes the place of text in debug mode, unless ""
	target string // address of the target, for the log
	err    error  // for the log

	quiet bool // the client is gone, or pushd is stopping: there is nothing to answer or to log
}

const (
	proxyError = "Error while proxying to origin."
	textPlain  = "text/plain"

	eventsType = "application/websocket-events"
)

// idempotencyKeys are the names of a field whose sender says that its request may be repeated.
var idempotencyKeys = []string{"Idempotency-Key", "X-Idempotency-Key"}

// job is the work on one exchange. It belongs to one goroutine.
type job struct {
	p       *Proxy
	x       *exchange.Exchange
	route   *route.Route
	figures *figures
	since   time.Time   // when the request came; zero when the answer's head is here
	header  http.Header // for the backend
	trusted bool        // the client is a GRIP proxy whose signature was verified
	open    bool        // begin has begun an answer: others may go in
}

func (p *Proxy) job(v visit) *job {
	return &job{p: p, x: v.x, route: v.x.Route.(*route.Route), figures: v.figures, since: v.since}
}

func (j *job) run() {
	if j.x.Context().Err() != nil {
		j.fail(&failure{quiet: true})
		return
	}
	if f := j.prepare(); f != nil {
		j.fail(f)
		return
	}
	var tried []string
	for i := range j.route.Targets {
		t := &j.route.Targets[i]
		if t.Kind != route.Backend {
			continue // the others are served where the loops are
		}
		a, resp, f := j.try(t)
		if f == nil {
			j.timed()
			j.respond(a, resp, t)
			a.close()
			return
		}
		if f.quiet || f.cause != CauseDial && f.cause != CauseTLS {
			j.fail(f)
			return
		}
		tried = append(tried, t.Addr)
		j.p.stats.Failovers.Add(1)
		j.count(f)
	}
	j.answer(&failure{debug: "Unable to connect to any targets. Tried: " + strings.Join(tried, ", ")})
}

// prepare makes the header for the backend.
func (j *job) prepare() *failure {
	r := &j.x.Request
	j.header = make(http.Header, len(r.Fields)+4)
	for _, f := range r.Fields {
		j.header.Add(f.Name, f.Value)
	}
	delete(j.header, "Host")
	j.trusted = j.isTrusted()
	if f := j.refuse(); f != nil {
		return f
	}
	o := &j.p.opt
	rewrite := grip.Rewrite{
		Route: gripFields(j.route.Headers), DropRoute: o.DropRoute, CDNLoop: o.CDNLoop,
		Trusted: j.trusted, GRIP: !j.route.NoGRIP, Last: j.x.Last,
		Proto: o.Proto, Secure: r.Secure || o.Proto.Accept && grip.ForwardedSecure(j.header), For: o.For, Peer: r.Peer,
	}
	if j.trusted {
		rewrite.For = o.ForTrusted
	}
	if rewrite.GRIP && !j.trusted {
		var err error
		if rewrite.Sig, err = j.p.sig(j.route); err != nil {
			return &failure{cause: CauseInstruct, err: err}
		}
	}
	rewrite.Apply(j.header)
	for _, name := range idempotencyKeys { // under these names net/http would take them for a leave to repeat the request
		if key := j.header[name]; key != nil {
			delete(j.header, name)
			j.header[strings.ToLower(name)] = key
		}
	}
	return nil
}

func gripFields(headers []route.Header) []grip.Field {
	fields := make([]grip.Field, len(headers))
	for i, h := range headers {
		fields[i] = grip.Field{Name: h.Name, Value: h.Value}
	}
	return fields
}

func (j *job) isTrusted() bool {
	token := j.header.Get("Grip-Sig")
	return token != "" && j.p.opt.UpstreamKey != nil && j.p.opt.UpstreamKey.Verify(token, now()) == nil
}

// refuse returns what keeps the request from being sent at all.
func (j *job) refuse() *failure {
	notServed := func(what string) *failure {
		return &failure{cause: CauseNotServed, status: http.StatusNotImplemented, text: what + " is not served on this route."}
	}
	switch {
	case strings.EqualFold(j.x.Request.Method, http.MethodConnect):
		return notServed("CONNECT")
	case strings.Contains(strings.ToLower(strings.Join(j.header["Upgrade"], ",")), "websocket"):
		return notServed("WebSocket to a backend")
	case !j.trusted && j.x.Request.Method == http.MethodPost && isEvents(j.header) && overHTTP(j.route):
		return &failure{cause: CauseForbidden, status: http.StatusForbidden, text: "Client not allowed to send WebSocket events directly."}
	}
	return nil
}

func isEvents(h http.Header) bool {
	mediaType, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	return strings.EqualFold(strings.TrimSpace(mediaType), eventsType)
}

func overHTTP(r *route.Route) bool {
	for i := range r.Targets {
		if r.Targets[i].OverHTTP {
			return true
		}
	}
	return false
}

// fail counts and logs f, and answers the client.
func (j *job) fail(f *failure) {
	if f.quiet {
		if j.x.Context().Err() != nil {
			j.p.stats.Gone.Add(1)
		}
		j.x.End(false)
		return
	}
	j.count(f)
	j.answer(f)
}

func (j *job) count(f *failure) {
	j.p.stats.errors[f.cause].Add(1)
	j.figures.errors[f.cause].Add(1)
	attrs := []slog.Attr{slog.Int("status", f.code())}
	if f.target != "" {
		attrs = append(attrs, slog.String("backend", f.target))
	}
	err := f.err
	if err == nil {
		err = errors.New(or(f.debug, f.text))
	}
	j.p.log.warn(j.route.ID, f.cause, append(attrs, slog.Any("err", err))...)
}

func (f *failure) code() int {
	if f.status == 0 {
		return http.StatusBadGateway
	}
	return f.status
}

// timed counts how long the head of the answer has taken, once.
func (j *job) timed() {
	if !j.since.IsZero() {
		j.figures.answers.Add(time.Since(j.since), 1)
		j.since = time.Time{}
	}
}

func (j *job) answer(f *failure) {
	text := or(f.text, proxyError)
	if f.debug != "" && (j.route.Debug || j.p.opt.Debug) {
		text = f.debug
	}
	text += "\n"
	fields := []exchange.Field{{Name: "Content-Type", Value: textPlain}}
	if f.status == http.StatusServiceUnavailable {
		fields = append(fields, exchange.Field{Name: "Retry-After", Value: "1"})
	}
	j.answerWith(&exchange.Head{Status: f.code(), Fields: fields, Length: int64(len(text))}, []byte(text))
}

// answerWith sends a whole answer; of its body nothing where the answer has none.
func (j *job) answerWith(h *exchange.Head, body []byte) {
	j.finish(h)
	if !j.hasBody(h.Status) {
		body = nil
	}
	j.x.Answer(h, body)
}

// begin sends the head of an answer that goes on, and lets another request in. It reports false,
// and nothing is sent, when too many answers are open.
func (j *job) begin(h *exchange.Head) bool {
	in, ok := j.p.gates.begin(j.route.ID)
	if !ok {
		return false
	}
	j.open = true
	for _, other := range in {
		go j.p.run(other)
	}
	j.finish(h)
	j.x.Begin(h)
	return true
}

// tooMany is why an answer does not begin.
func tooMany(t *route.Target) *failure {
	f := busy("Too many answers are open.")
	f.target = t.Addr
	return f
}

// finish does what is done to the head of every answer.
func (j *job) finish(h *exchange.Head) {
	if h.Status == http.StatusNoContent || h.Status == http.StatusNotModified {
		h.Length = -1
	}
	if j.autoCORS() {
		h.Fields = addCORS(h.Fields, &j.x.Request)
	}
}

func (j *job) autoCORS() bool { return j.route.AutoCORS || j.p.opt.AutoCORS }

// hasBody reports whether an answer with the status has a body (RFC 9112 6.3).
func (j *job) hasBody(status int) bool {
	return j.x.Request.Method != http.MethodHead && status != http.StatusNoContent && status != http.StatusNotModified
}
