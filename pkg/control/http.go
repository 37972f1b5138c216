package control

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"holdfast/pkg/endpoint"
	"holdfast/pkg/hub"
	"holdfast/pkg/publish"
	"holdfast/pkg/token"
	"holdfast/pkg/wire"
)

// Bounds of the HTTP publish endpoint.
const (
	maxHTTPRequests = 64               // in hand at the same time
	maxHTTPClients  = 256              // connections open at the same time
	httpWait        = 5 * time.Second  // for a place among the requests in hand
	httpReadTimeout = 10 * time.Second // for head and body of a request
	httpIdleTimeout = time.Minute
	publishTimeout  = 5 * time.Second // for room to publish, and again for the receivers of a JSON answer
	writeGrace      = 5 * time.Second // between the longest handling and the write deadline
	maxParsing      = 8               // requests that are parsed and handed over at a time: items are up to 20 times their body
)

// HTTPOptions is what an HTTPServer needs. Publisher must be set.
type HTTPOptions struct {
	Log        *slog.Logger // nil means silence
	Publisher  Publisher    // takes the items
	Names      []string     // hosts accepted in Host besides loopback and local addresses: that of the listener, and others
	Token      string       // that publishers have to show as Authorization: Bearer; "" means that they need none
	Draining   func() bool  // whether pushd is about to end, for /ready; nil: never
	MaxBody    int          // bytes of a request body; 0 means wire.MaxFrame
	MaxMessage int          // bytes of an item's content; 0 means MaxBody
}

// HTTPServer is the HTTP publish endpoint: POST /publish/ with {"items": [...]}, as Pushpin's control port has it.
//
// It keeps browsers out: a request with an Origin, or with a Host that is not this machine, is refused. GET /health says that
// pushd lives and GET /ready whether it takes new clients; they tell nothing else, and anybody may ask.
type HTTPServer struct {
	o       HTTPOptions
	log     *slog.Logger
	parsing chan struct{} // holds a token for each request that is parsed and handed over
}

// NewHTTP returns an HTTPServer. Serve starts it.
func NewHTTP(o HTTPOptions) *HTTPServer {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.MaxBody <= 0 {
		o.MaxBody = wire.MaxFrame
	}
	if o.MaxMessage <= 0 {
		o.MaxMessage = o.MaxBody
	}
	return &HTTPServer{o: o, log: o.Log, parsing: make(chan struct{}, maxParsing)}
}

// Serve serves ln until ctx ends, gives requests under way a second, and returns when all its goroutines are gone.
func (s *HTTPServer) Serve(ctx context.Context, ln net.Listener) error {
	e := endpoint.HTTP{
		Name: "HTTP publish endpoint", Log: s.log,
		Requests: maxHTTPRequests, Connections: maxHTTPClients, Free: IsProbe, Wait: httpWait,
		ReadTimeout: httpReadTimeout, WriteTimeout: httpReadTimeout + 2*publishTimeout + writeGrace,
		IdleTimeout: httpIdleTimeout,
	}
	return e.Serve(ctx, ln, s)
}

// ServeHTTP answers one request.
func (s *HTTPServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if (Probes{Draining: s.o.Draining}).Answer(w, r) {
		return
	}
	if refusal := s.foreign(r); refusal != "" {
		answer(w, http.StatusForbidden, refusal)
		return
	}
	if r.URL.Path == "/" {
		answerProbe(w, r, http.StatusOK, "Pushpin API") // what its clients look for
		return
	}
	if strings.TrimSuffix(r.URL.Path, "/") != "/publish" {
		answer(w, http.StatusNotFound, "Not Found")
		return
	}
	if r.Method != http.MethodPost {
		wrongMethod(w, r, http.MethodPost)
		return
	}
	if !s.mayPublish(r) {
		w.Header().Set("WWW-Authenticate", "Bearer")
		answer(w, http.StatusUnauthorized, "Unauthorized: this endpoint wants the token of --publish-token-file as Authorization: Bearer.")
		return
	}
	asJSON, ok := acceptsJSON(r.Header.Values("Accept"))
	if !ok {
		answer(w, http.StatusNotAcceptable, "Not Acceptable. Supported formats are text/plain and application/json.")
		return
	}
	if r.ContentLength < 0 {
		answer(w, http.StatusLengthRequired, "Request requires Content-Length.")
		return
	}
	if r.ContentLength > int64(s.o.MaxBody) {
		w.Header().Set("Connection", "close")
		answer(w, http.StatusBadRequest, "Request body too large.")
		return
	}
	body, err := readBody(r.Body, make([]byte, 0, min(r.ContentLength, firstBodyRead)))
	if err != nil {
		answer(w, http.StatusBadRequest, "Request body incomplete.")
		return
	}
	p, failure := s.publish(r.Context(), body)
	switch {
	case failure != nil:
		failure(w)
	case asJSON:
		p.answer(w, r)
	default: // in text, nothing more is to be said
		answer(w, http.StatusOK, "Published")
	}
}

func wrongMethod(w http.ResponseWriter, r *http.Request, allowed string) {
	w.Header().Set("Allow", allowed)
	answer(w, http.StatusMethodNotAllowed, "Method not allowed: "+r.Method+".")
}

// mayPublish reports whether the request shows the token, if there is one. The time that takes tells nothing about it.
func (s *HTTPServer) mayPublish(r *http.Request) bool {
	if s.o.Token == "" {
		return true
	}
	given, _ := token.Bearer([]byte(r.Header.Get("Authorization")))
	want, got := sha256.Sum256([]byte(s.o.Token)), sha256.Sum256(given)
	return subtle.ConstantTimeCompare(want[:], got[:]) == 1
}

// foreign says why a request may come from a web page, or "". A page can make a browser post here, but it cannot keep its
// Origin from being sent; and a name that was bound to this address by an attacker's DNS is seen in Host.
func (s *HTTPServer) foreign(r *http.Request) string {
	if _, ok := r.Header["Origin"]; ok {
		return "Requests from web pages are not allowed."
	}
	if !s.knownHost(r) {
		return "Host not allowed."
	}
	return ""
}

func (s *HTTPServer) knownHost(r *http.Request) bool {
	host := hostOf(r.Host)
	if host == "" || strings.EqualFold(host, "localhost") {
		return true // without a Host it is HTTP/1.0, which no browser speaks
	}
	if slices.ContainsFunc(s.o.Names, func(name string) bool { return strings.EqualFold(host, name) }) {
		return true
	}
	ip := net.ParseIP(host)
	if ip == nil {
		return false
	}
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return ip.IsLoopback() || ok && ip.Equal(local.IP)
}

// hostOf cuts the port and the brackets off a Host.
func hostOf(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.Trim(hostport, "[]")
}

// firstBodyRead is the memory that an announced body gets before its bytes have come.
const firstBodyRead = 64 << 10

// readBody appends all of body to b, which grows with what has come. net/http ends it at its Content-Length.
func readBody(body io.Reader, b []byte) ([]byte, error) {
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := body.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err == io.EOF {
			return b, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// published is what became of the items of a request.
type published struct {
	hub.Batch
	items int           // of the request
	empty map[int]bool  // those of them without any known format, which are not in the batch
	known chan struct{} // closed when the fate of all is known
}

// newPublished makes the batch of the items.
func newPublished(items []publish.Item) *published {
	p := &published{items: len(items), known: make(chan struct{})}
	p.Deliveries = make([]hub.Delivery, 0, len(items))
	p.Done = func(*hub.Batch) { close(p.known) }
	for i := range items {
		if items[i].Formats != 0 {
			p.Deliveries = append(p.Deliveries, hub.Delivery{Item: items[i]})
			continue
		}
		if p.empty == nil {
			p.empty = map[int]bool{}
		}
		p.empty[i] = true
	}
	return p
}

// receivers returns the number of receivers of each item of the request.
func (p *published) receivers() []int {
	var all []int
	rest := p.Deliveries
	for i := range p.items {
		if p.empty[i] {
			all = append(all, 0)
			continue
		}
		all, rest = append(all, rest[0].Receivers()), rest[1:]
	}
	return all
}

// publish parses the body and hands its items over. A failure is the answer when nothing was published.
func (s *HTTPServer) publish(ctx context.Context, body []byte) (p *published, failure func(http.ResponseWriter)) {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	select {
	case s.parsing <- struct{}{}:
		defer func() { <-s.parsing }()
	case <-ctx.Done():
		return nil, busy
	}
	items, refusal := s.parse(body)
	if refusal != "" {
		return nil, func(w http.ResponseWriter) { answer(w, http.StatusBadRequest, refusal) }
	}
	p = newPublished(items)
	if err := s.o.Publisher.Publish(ctx, &p.Batch); err != nil {
		return nil, busy
	}
	return p, nil
}

// parse reads and checks the items of a body, or says why they are refused.
func (s *HTTPServer) parse(body []byte) (items []publish.Item, refusal string) {
	items, err := publish.ParseItems(body)
	for i := range items {
		if err = checkSize(&items[i], s.o.MaxMessage); err != nil {
			err = &publish.ItemError{Index: i, Reason: err.Error()}
			break
		}
	}
	if bad, ok := errors.AsType[*publish.ItemError](err); ok && bad.Index >= 0 {
		return nil, fmt.Sprintf("%s (item %d)", bad.Error(), bad.Index)
	}
	if err != nil {
		return nil, err.Error()
	}
	return items, ""
}

// answer waits until the receivers are known, and answers with them; without them when it takes too long.
func (p *published) answer(w http.ResponseWriter, r *http.Request) {
	body := struct {
		Message   string `json:"message"`
		Receivers []int  `json:"receivers,omitempty"`
	}{Message: "Published"}
	timeout := time.NewTimer(publishTimeout)
	defer timeout.Stop()
	select {
	case <-p.known:
		body.Receivers = p.receivers()
	case <-timeout.C:
	case <-r.Context().Done():
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(body) //nolint:errcheck // a client that is gone needs no answer
}

// busy answers that there is too much under way.
func busy(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "1")
	answer(w, http.StatusServiceUnavailable, "Too many undelivered messages.")
}

// answer sends a line of plain text.
func answer(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(code)
	io.WriteString(w, text+"\n") //nolint:errcheck // a client that is gone needs no answer
}
