package route

import (
	"strconv"
	"strings"
)

// Protocol is what a request wants, or what a condition asks for.
type Protocol uint8

// The protocols. AnyProtocol is for conditions only.
const (
	AnyProtocol Protocol = iota
	HTTP
	WebSocket
)

// TLS is what a condition asks of the connection.
type TLS uint8

// What a condition may ask.
const (
	AnyTLS TLS = iota
	WithoutTLS
	WithTLS
)

// Route is one line of the file. It does not change once its Table stands.
type Route struct {
	Line  int    // in the file, from 1
	ID    string // the parameter id, else the condition as written by String, which no other route has
	Named bool   // the line has an id: the route has figures of its own

	// The condition.
	Host     string // lower case, IPv6 without brackets; "*" for any; "" when the route is found by its id only
	Protocol Protocol
	TLS      TLS
	PathBeg  string // the path, without needless percent-encoding, begins with it; "" for any path

	// The rewriting; AppendPath applies that of the path.
	PathRem    int // bytes cut off the front of the path, unless Replace
	Replace    bool
	ReplaceBeg string   // stands in the place of PathBeg when Replace
	AsHost     string   // HOST or HOST:PORT for the backend's Host field; "" leaves the client's
	Headers    []Header // in the order in which Pushpin applies them, the line's last one first

	SigIss   string // "" for the default
	SigKey   string // as written, base64: or file: or the key itself; "" for the default
	Prefix   string // of channel names in what the backend says
	NoGRIP   bool   // plain proxying
	Debug    bool   // error answers say the cause
	AutoCORS bool   // aco: the CORS fields that the backend left out are added

	Targets []Target // at least one, in the order in which they are tried
}

// Header replaces the request's fields called Name by one with Value; with an empty Value it only removes them.
type Header struct {
	Name, Value string
}

// Kind is what serves the requests of a target.
type Kind uint8

// The kinds of targets.
const (
	Backend Kind = iota // a server at Addr
	Test                // the built-in handler, for trying things out
	Direct              // the endpoints of direct mode
)

// Target is one place to which a route sends its requests.
type Target struct {
	Kind Kind

	// For a Backend only.
	Addr             string // HOST:PORT to connect to, as net.Dial takes it
	Host             string // of Addr: lower case, IPv6 without brackets
	TLS              bool
	Insecure         bool   // certificates are not checked
	TrustConnectHost bool   // the certificate is to be for Host, not for the name in the Host field
	ClientCert       string // file name as written; "" without one
	ClientKey        string
	AsHost           string // HOST or HOST:PORT for the Host field, over that of the route; "" without one
	Untrusted        bool   // private and loopback addresses are refused
	OverHTTP         bool   // WebSocket-over-HTTP
	OneEvent         bool   // one event in each request of WebSocket-over-HTTP

	Subs     []string // channels, without prefix, that each hold of a Backend or Test is subscribed to besides its own
	Channels []string // of a Direct that serves them on every path; none for the endpoints that take ?channel=
}

// Covers reports whether path begins with the route's PathBeg, byte for byte.
func (r *Route) Covers(path []byte) bool {
	return len(path) >= len(r.PathBeg) && string(path[:len(r.PathBeg)]) == r.PathBeg
}

// AppendPath appends the path that a backend gets for a request's path. It always begins with "/", which Pushpin leaves
// to the writer of the file.
func (r *Route) AppendPath(dst, path []byte) []byte {
	beg, rem := "", r.PathRem
	if r.Replace {
		beg, rem = r.ReplaceBeg, len(r.PathBeg)
	}
	path = path[min(rem, len(path)):]
	if beg == "" && (len(path) == 0 || path[0] != '/') || beg != "" && beg[0] != '/' {
		dst = append(dst, '/')
	}
	return append(append(dst, beg...), path...)
}

// LocalPath is the part of path that the Test and Direct targets of a route look at: what follows PathBeg, with the slash
// that may end PathBeg. It aliases path, which the route covers.
func (r *Route) LocalPath(path []byte) []byte {
	return path[len(strings.TrimSuffix(r.PathBeg, "/")):]
}

// String returns the route as a line of a file, without the line's end. It contains the key of signatures.
func (r *Route) String() string {
	b := r.appendCondition(nil, true)
	for i := range r.Targets {
		b = append(b, ' ')
		b = r.Targets[i].append(b)
	}
	return string(b)
}

// Condition returns what the route is for, as a file has it.
func (r *Route) Condition() string { return string(r.appendCondition(nil, false)) }

// String returns the target as a file has it.
func (t *Target) String() string { return string(t.append(nil)) }

// appendCondition writes the condition's own parameters, or all of the route's.
func (r *Route) appendCondition(b []byte, all bool) []byte {
	w := sectionWriter{b: b, first: true}
	if r.Host == "" || all && r.Named {
		// A section that begins with a parameter needs no comma before it.
		if r.Host != "" {
			w.value(r.Host)
		}
		w.text("id", r.ID)
	} else {
		w.value(r.Host)
	}
	w.given("proto", [...]string{"", "http", "ws"}[r.Protocol])
	w.given("ssl", [...]string{"", "no", "yes"}[r.TLS])
	w.given("path_beg", r.PathBeg)
	if !all {
		return w.b
	}
	if r.PathRem > 0 {
		w.text("path_rem", strconv.Itoa(r.PathRem))
	}
	if r.Replace {
		w.text("replace_beg", r.ReplaceBeg)
	}
	w.given("as_host", r.AsHost)
	for i := len(r.Headers) - 1; i >= 0; i-- {
		w.text("header", r.Headers[i].Name+":"+r.Headers[i].Value)
	}
	w.given("sig_iss", r.SigIss)
	w.given("sig_key", r.SigKey)
	w.given("prefix", r.Prefix)
	w.flag("no_grip", r.NoGRIP)
	w.flag("debug", r.Debug)
	w.flag("aco", r.AutoCORS)
	return w.b
}

func (t *Target) append(b []byte) []byte {
	w := sectionWriter{b: b, first: true}
	w.value([...]string{t.Addr, "test", "direct"}[t.Kind])
	w.flag("ssl", t.TLS)
	w.flag("insecure", t.Insecure)
	w.flag("trust_connect_host", t.TrustConnectHost)
	w.given("client_cert", t.ClientCert)
	w.given("client_key", t.ClientKey)
	w.given("host", t.AsHost)
	w.flag("untrusted", t.Untrusted)
	w.flag("over_http", t.OverHTTP)
	w.flag("one_event", t.OneEvent)
	for _, s := range t.Subs {
		w.text("sub", s)
	}
	for _, s := range t.Channels {
		w.text("channel", s)
	}
	return w.b
}

// sectionWriter writes a value and its parameters, quoted where that is needed.
type sectionWriter struct {
	b     []byte
	first bool
}

func (w *sectionWriter) comma() {
	if !w.first {
		w.b = append(w.b, ',')
	}
	w.first = false
}

func (w *sectionWriter) value(s string) {
	w.comma()
	w.b = append(w.b, s...)
}

func (w *sectionWriter) text(name, s string) {
	w.comma()
	w.b = append(append(w.b, name...), '=')
	w.b = appendQuoted(w.b, s)
}

func (w *sectionWriter) given(name, s string) {
	if s != "" {
		w.text(name, s)
	}
}

func (w *sectionWriter) flag(name string, set bool) {
	if set {
		w.value(name)
	}
}

func appendQuoted(b []byte, s string) []byte {
	if !strings.ContainsAny(s, "\"\t ,#") {
		return append(b, s...) // a backslash is an escape within quotes only
	}
	b = append(b, '"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			b = append(b, '\\')
		}
		b = append(b, s[i])
	}
	return append(b, '"')
}
