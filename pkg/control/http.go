package control

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
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
	"holdfast/pkg/share"
	"holdfast/pkg/token"
	"holdfast/pkg/wire"
)

// Bounds of the HTTP publish endpoint.
const (
	maxHTTPClients  = 256                               // connections open at the same time
	maxHTTPRequests = maxHTTPClients - maxHTTPClients/8 // in hand at the same time; the rest is for probes
	maxBodies       = 64 << 20                          // bytes of bodies in memory that are not small
	maxWaiting      = 128 << 20                         // bytes of items that wait for room to be published
	httpWait        = 5 * time.Second                   // for memory for a body
	httpReadTimeout = 10 * time.Second                  // for head and body of a request
	httpIdleTimeout = time.Minute
	publishTimeout  = 5 * time.Second // for room to publish, and again for the receivers of a JSON answer
	writeGrace      = 5 * time.Second // between the longest handling and the write deadline
	maxParsing      = 8               // requests that are parsed at a time: items are up to 20 times their body
)

// HTTPOptions is what an HTTPServer needs. Publisher must be set.
type HTTPOptions struct {
	Log        *slog.Logger  // nil means silence
	Publisher  Publisher     // takes the items
	Names      []string      // hosts accepted in Host besides loopback and local addresses: that of the listener, and others
	Token      string        // that publishers have to show as Authorization: Bearer; "" means that they need none
	Draining   func() bool   // whether pushd is about to end, for /ready; nil: never
	Trouble    func() string // what is wrong with pushd, for /health and /ready; nil: nothing
	MaxBody    int           // bytes of a request body; 0 means wire.MaxFrame
	MaxMessage int           // bytes of an item's content; 0 means MaxBody
}

// HTTPServer is the HTTP publish endpoint: POST /publish/ with {"items": [...]}, as Pushpin's control port has it.
//
// It keeps browsers out: a request with an Origin, or with a Host that is not this machine, is refused. GET /health says that
// pushd lives and GET /ready whether it takes new clients; they tell nothing else, and anybody may ask.
type HTTPServer struct {
	o       HTTPOptions
	log     *slog.Logger
	parsing chan struct{} // holds a token for each request that is parsed

	seed    maphash.Seed // of the keys in the pools
	places  *share.Pool  // of requests: by client address, later by channel
	bodies  *share.Pool  // bytes, by client address
	waiting *share.Pool  // bytes, by channel
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
	return &HTTPServer{
		o: o, log: o.Log, parsing: make(chan struct{}, maxParsing), seed: maphash.MakeSeed(),
		places: share.New(maxHTTPRequests), bodies: share.New(maxBodies), waiting: share.New(maxWaiting),
	}
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
	if (Probes{Draining: s.o.Draining, Trouble: s.o.Trouble}).Answer(w, r) {
		return
	}
	if refusal := s.foreign(r); refusal != "" {
		refuse(w, r, http.StatusForbidden, refusal)
		return
	}
	if r.URL.Path == "/" {
		answerProbe(w, r, http.StatusOK, "Pushpin API") // what its clients look for
		return
	}
	if strings.TrimSuffix(r.URL.Path, "/") != "/publish" {
		refuse(w, r, http.StatusNotFound, "Not Found")
		return
	}
	if r.Method != http.MethodPost {
		wrongMethod(w, r, http.MethodPost)
		return
	}
	if !s.mayPublish(r) {
		w.Header().Set("WWW-Authenticate", "Bearer")
		refuse(w, r, http.StatusUnauthorized, "Unauthorized: "+
			"this endpoint wants the token of --publish-token-file as Authorization: Bearer.")
		return
	}
	asJSON, ok := acceptsJSON(r.Header.Values("Accept"))
	if !ok {
		refuse(w, r, http.StatusNotAcceptable,
			"Not Acceptable. Supported formats are text/plain and application/json.")
		return
	}
	if r.ContentLength < 0 {
		refuse(w, r, http.StatusLengthRequired, "Request requires Content-Length.")
		return
	}
	if r.ContentLength > int64(s.o.MaxBody) {
		refuse(w, r, http.StatusBadRequest, "Request body too large.")
		return
	}
	s.takePublish(w, r, asJSON)
}

// takePublish publishes the items of a request and answers it.
func (s *HTTPServer) takePublish(w http.ResponseWriter, r *http.Request, asJSON bool) {
	at := place{pool: s.places}
	defer at.leave()
	if !at.move(s.addressKey(r.RemoteAddr)) {
		w.Header().Set("Retry-After", "1")
		refuse(w, r, http.StatusServiceUnavailable, "Too many requests at a time.")
		return
	}
	p, failure := s.publish(r, &at)
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
	refuse(w, r, http.StatusMethodNotAllowed, "Method not allowed: "+r.Method+".")
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

// addressKey is the key of a client: its address, or, because all local clients have the same one,
// its connection.
func (s *HTTPServer) addressKey(remote string) uint32 {
	host, _, err := net.SplitHostPort(remote)
	if ip := net.ParseIP(host); err != nil || ip.IsLoopback() {
		host = remote
	}
	return s.key(host)
}

func (s *HTTPServer) key(name string) uint32 { return uint32(maphash.String(s.seed, name)) }

// place is what one request has of a pool of places.
type place struct {
	pool  *share.Pool
	load  share.One
	taken bool
}

// move gives the place back for one of the user key, and reports whether there is one.
func (p *place) move(key uint32) bool {
	p.leave()
	p.load = share.One{Key: key, Amount: 1}
	p.taken = p.pool.TryAcquire(p.load)
	return p.taken
}

func (p *place) leave() {
	if p.taken {
		p.pool.Release(p.load)
		p.taken = false
	}
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

// publish reads the body and hands its items over. A failure is the answer when nothing was
// published.
//
// While it waits for room to publish, its place and its memory are counted for the channel of its
// first item: when publishers of a channel must wait, there is still room for those of the others.
func (s *HTTPServer) publish(r *http.Request, at *place) (*published, func(http.ResponseWriter)) {
	items, size, failure := s.read(r)
	if failure != nil {
		return nil, failure
	}
	p := newPublished(items)
	if len(p.Deliveries) > 0 {
		key := s.key(p.Deliveries[0].Item.Channel)
		memory := share.One{Key: key, Amount: size}
		if !at.move(key) || !s.waiting.TryAcquire(memory) {
			return nil, busy
		}
		defer s.waiting.Release(memory)
	}
	ctx, cancel := context.WithTimeout(r.Context(), publishTimeout)
	defer cancel()
	if err := s.o.Publisher.Publish(ctx, &p.Batch); err != nil {
		return nil, busy
	}
	return p, nil
}

// read reads and parses the body. size is about the memory that the items take.
func (s *HTTPServer) read(r *http.Request) (items []publish.Item, size int64, failure func(http.ResponseWriter)) {
	ctx, cancel := context.WithTimeout(r.Context(), httpWait)
	defer cancel()
	if r.ContentLength > firstBodyRead {
		memory := share.One{Key: s.addressKey(r.RemoteAddr), Amount: r.ContentLength}
		if s.bodies.Acquire(ctx, memory) != nil {
			return nil, 0, busy
		}
		defer s.bodies.Release(memory)
	}
	body, err := readBody(r.Body, make([]byte, 0, min(r.ContentLength, firstBodyRead)))
	if err != nil {
		return nil, 0, refusal("Request body incomplete.")
	}
	parsing, cancel := context.WithTimeout(r.Context(), publishTimeout)
	defer cancel()
	select {
	case s.parsing <- struct{}{}:
		defer func() { <-s.parsing }()
	case <-parsing.Done():
		return nil, 0, busy
	}
	items, why := s.parse(body)
	if why != "" {
		return nil, 0, refusal(why)
	}
	return items, int64(len(body) + len(items)*deliverySize), nil
}

// refusal answers that a request is wrong.
func refusal(why string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { answer(w, http.StatusBadRequest, why) }
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

// answer waits until the receivers are known, and answers with them; without them when it takes too
// long.
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

// refuse answers a request without its body. The connection ends, or net/http would wait for the
// body before it sends the answer.
func refuse(w http.ResponseWriter, r *http.Request, code int, text string) {
	if r.ContentLength != 0 {
		w.Header().Set("Connection", "close")
	}
	answer(w, code, text)
}

// answer sends a line of plain text.
func answer(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(code)
	io.WriteString(w, text+"\n") //nolint:errcheck // a client that is gone needs no answer
}
