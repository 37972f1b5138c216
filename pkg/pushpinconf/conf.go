// Package pushpinconf reads Pushpin's configuration file, and says what of it has a meaning for a
// server that takes its routes and speaks HTTP only. It opens no file but is given its text.
//
// The file is an INI file: [SECTION], NAME=VALUE, comments that begin with # or ;, and values in
// double quotes when they hold ; or \. In values {rundir}, {libdir} and {ipc_prefix} stand for the
// settings of these names.
//
// Pushpin ignores what it does not know. Here an unknown setting is an error, and so is one that
// opens or secures a listener which is not served: the silence of a socket must not be the first
// sign. ZeroMQ sockets are listed, and the caller decides whether the server goes on without them.
package pushpinconf

import (
	"cmp"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Setting is an option of the server, and the setting of the file from which it comes.
type Setting struct {
	Option string // listen, routes, sig-key, ...
	Value  any    // string, int64, bool, or []any of strings
	Name   string // of the setting in the file
	Line   int    // 0: it follows from the setting's absence
}

// Config is what a file says.
type Config struct {
	Settings []Setting
	ZeroMQ   []Note   // ZeroMQ sockets, which are not opened
	Unserved []Note   // wishes that are not served
	Tuning   []string // settings without a meaning here
}

// Note is a setting of the file with something to know about it.
type Note struct {
	Name   string
	Line   int
	Advice string
}

// String is the note with its line.
func (n Note) String() string { return fmt.Sprintf("%s (line %d): %s", n.Name, n.Line, n.Advice) }

// Suggester returns the candidate that word was probably meant to be, or "".
type Suggester func(word string, candidates []string) string

// Parse reads the text of a file that lies in the directory dir, to which the names of files in it are relative. Its error
// is of type Errors.
func Parse(dir string, text []byte, suggest Suggester) (*Config, error) {
	p := parser{dir: dir, found: make(map[string]entry)}
	for _, e := range scan(text, &p.wrong) {
		k, problem := lookup(e.section, e.name, suggest)
		id := e.section + "/" + e.name
		earlier, twice := p.found[id]
		switch {
		case k == nil:
			p.wrong.add(e.line, "%s", problem)
			continue
		case twice:
			p.wrong.add(e.line, "%s stands in line %d too", e.name, earlier.line)
			continue
		}
		p.found[id] = e
		p.judge(k, e)
	}
	p.options()
	if len(p.wrong) > 0 {
		slices.SortStableFunc(p.wrong, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
		return nil, p.wrong
	}
	return &p.config, nil
}

type parser struct {
	dir    string
	found  map[string]entry // by section/name
	config Config
	wrong  Errors
}

// judge sorts a setting by its class. Those that become options are left to options.
func (p *parser) judge(k *key, e entry) {
	asks := e.value != "" && e.value != k.packaged && (k.packaged != "false" || e.value != "0")
	switch k.class {
	case tuning:
		p.config.Tuning = append(p.config.Tuning, e.name)
	case unserved:
		if asks {
			p.config.Unserved = append(p.config.Unserved, Note{Name: e.name, Line: e.line, Advice: k.advice})
		}
	case listener:
		if asks {
			p.wrong.add(e.line, "%s is not served: %s", e.name, k.advice)
		}
	case zeromq:
		if asks {
			p.config.ZeroMQ = append(p.config.ZeroMQ, Note{Name: e.name, Line: e.line, Advice: k.advice})
		}
	case internal:
		if overTCP(e.value) {
			p.config.ZeroMQ = append(p.config.ZeroMQ, Note{Name: e.name, Line: e.line, Advice: k.advice})
		} else {
			p.config.Tuning = append(p.config.Tuning, e.name)
		}
	}
}

// overTCP reports whether programs of other hosts could use one of the ZeroMQ sockets in specs.
func overTCP(specs string) bool {
	for _, spec := range strings.Split(specs, ",") {
		spec = strings.TrimSpace(spec)
		if spec != "" && !strings.HasPrefix(spec, "ipc:") && !strings.HasPrefix(spec, "inproc:") {
			return true
		}
	}
	return false
}

// options makes the options out of the settings that have a meaning here.
func (p *parser) options() {
	if e, ok := p.get("global/include"); ok && filepath.Base(e.value) != "internal.conf" {
		p.wrong.add(e.line, "include is not followed: copy the settings of that file into this one")
	}
	p.services()
	p.listen()
	p.publishListen()
	p.logLevel()
	p.number("runner/client_buffer_size", "max-header")
	p.number("runner/client_maxconn", "max-connections")
	p.number("handler/push_in_http_max_body_size", "max-message")
	p.number("handler/connection_subscription_max", "max-subscriptions")
	routes, ok := p.get("proxy/routesfile")
	if !ok {
		routes = entry{name: "routesfile", value: "routes", line: routes.line}
	}
	p.set("routes", p.path(routes.value), routes)
	p.text("proxy/sig_iss", "sig-iss")
	p.key("proxy/sig_key", "sig-key")
	p.key("proxy/upstream_key", "upstream-key")
	p.backends()
	p.sessions()
}

const (
	maxSessions = "50000" // client_maxconn when it does not stand there
	mostNumber  = 1 << 20 // of what an option takes
)

// sessions makes the options about how many requests backends have, and for how long. Pushpin
// bounds those of all routes, with the answers that go on, by max_open_requests, which is
// client_maxconn when it does not stand there; it waits half an hour for a backend, and nothing in
// the file changes that.
func (p *parser) sessions() {
	e, ok := p.get("runner/client_maxconn") // checked already
	if !ok {
		e = entry{name: "client_maxconn", value: maxSessions, line: e.line}
	}
	n, err := strconv.ParseInt(e.value, 10, 64)
	if most, ok := p.get("proxy/max_open_requests"); ok {
		if own, ok := p.parse(most, -1, 1<<40); ok && own > 0 { // for Pushpin others are none
			n, err, e = own, nil, most
		}
	}
	if err == nil {
		n = min(max(n, 1), mostNumber)
		p.set("backend-concurrency", n, e)
		p.set("backend-open", n, e)
	}
	p.set("backend-timeout", "30m", entry{name: "stream-timeout"})
}

// backends makes the options about what backends are told.
func (p *parser) backends() {
	p.flag("proxy/debug", "debug")
	p.flag("proxy/auto_cross_origin", "auto-cross-origin")
	p.flag("proxy/accept_pushpin_route", "accept-pushpin-route")
	p.flag("proxy/accept_x_forwarded_protocol", "accept-x-forwarded-protocol")
	p.text("proxy/x_forwarded_for", "x-forwarded-for")
	p.text("proxy/x_forwarded_for_trusted", "x-forwarded-for-trusted")
	p.text("proxy/cdn_loop", "cdn-loop")
	e, ok := p.get("proxy/set_x_forwarded_protocol")
	if !ok || e.value != "true" && e.value != "proto-only" { // for Pushpin everything else means no
		e = entry{name: "set_x_forwarded_protocol", value: "off", line: e.line}
	}
	p.set("set-x-forwarded-protocol", e.value, e)
	e, ok = p.get("handler/id_cache_ttl")
	if !ok {
		e = entry{name: "id_cache_ttl", value: "0", line: e.line} // Pushpin's when it does not stand there
	}
	if n, ok := p.parse(e, 0, 24*60*60); ok {
		p.set("id-cache-ttl", strconv.FormatInt(n, 10)+"s", e)
	}
}

func (p *parser) text(id, option string) {
	if e, ok := p.get(id); ok {
		p.set(option, e.value, e)
	}
}

func (p *parser) flag(id, option string) {
	e, ok := p.get(id)
	switch {
	case !ok:
	case e.value == "true" || e.value == "1":
		p.set(option, true, e)
	case e.value == "false" || e.value == "0":
		p.set(option, false, e)
	default:
		p.wrong.add(e.line, "%s: %q is neither true nor false", e.name, e.value)
	}
}

// get returns a setting with its variables replaced; false when it is not there or empty.
func (p *parser) get(id string) (entry, bool) {
	e, ok := p.found[id]
	if strings.Contains(e.value, "{") {
		e.value = p.variables().Replace(e.value)
	}
	return e, ok && e.value != ""
}

// variables replaces once: what a variable holds is not looked at again. Without a libdir its name stays.
func (p *parser) variables() *strings.Replacer {
	value := func(name, otherwise string) string {
		if e, ok := p.found["global/"+name]; ok {
			return e.value
		}
		return otherwise
	}
	return strings.NewReplacer("{rundir}", value("rundir", "run"), "{libdir}", value("libdir", "{libdir}"),
		"{ipc_prefix}", value("ipc_prefix", "pushpin-"))
}

func (p *parser) set(option string, value any, from entry) {
	p.config.Settings = append(p.config.Settings, Setting{Option: option, Value: value, Name: from.name, Line: from.line})
}

func (p *parser) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(p.dir, name)
}

// key sets a key, which may be in a file.
func (p *parser) key(id, option string) {
	e, ok := p.get(id)
	if !ok {
		return
	}
	if name, inFile := strings.CutPrefix(e.value, "file:"); inFile && name != "" {
		e.value = "file:" + p.path(name)
	}
	p.set(option, e.value, e)
}

func (p *parser) number(id, option string) {
	if e, ok := p.get(id); ok {
		if n, ok := p.parse(e, 0, 1<<40); ok {
			p.set(option, n, e)
		}
	}
}

// parse reads a whole number.
func (p *parser) parse(e entry, lowest, highest int64) (int64, bool) {
	n, err := strconv.ParseInt(e.value, 10, 64)
	if err != nil || n < lowest || n > highest {
		p.wrong.add(e.line, "%s: %q is not a number from %d to %d", e.name, e.value, lowest, highest)
		return 0, false
	}
	return n, true
}

// listen takes http_port: PORT, which means all addresses, ADDRESS:PORT or [IPV6]:PORT, separated by commas.
func (p *parser) listen() {
	e, ok := p.get("runner/http_port")
	if !ok {
		if e.line > 0 {
			p.wrong.add(e.line, "http_port is empty: there would be nowhere to serve clients")
		}
		return
	}
	var all []any
	for _, s := range strings.Split(e.value, ",") {
		address := strings.TrimSpace(s)
		if address != "" && strings.Trim(address, "0123456789") == "" {
			address = ":" + address
		}
		_, port, err := net.SplitHostPort(address)
		if n, portErr := strconv.ParseUint(port, 10, 16); err != nil || portErr != nil || n == 0 {
			p.wrong.add(e.line, "http_port: %q is not PORT, ADDRESS:PORT or [IPV6]:PORT", s)
			return
		}
		all = append(all, address)
	}
	p.set("listen", all, e)
}

// publishListen takes push_in_http_addr and push_in_http_port. Pushpin has no such endpoint without a port.
func (p *parser) publishListen() {
	offset := p.portOffset()
	port, ok := p.get("handler/push_in_http_port")
	if !ok {
		p.set("publish-listen", "off", entry{name: "push_in_http_port", line: port.line})
		return
	}
	n, ok := p.parse(port, 1, 65535)
	if !ok {
		return
	}
	if n += offset; n > 65535 {
		p.wrong.add(port.line, "push_in_http_port: with port_offset it is %d, which is no port", n)
		return
	}
	addr, ok := p.get("handler/push_in_http_addr")
	if !ok {
		addr.value = "127.0.0.1"
	} else {
		port = addr // the address decides whether others can reach it
	}
	p.set("publish-listen", net.JoinHostPort(strings.Trim(addr.value, "[]"), strconv.FormatInt(n, 10)), port)
}

// roles are the parts of Pushpin that its services may leave out, each with its names in old and
// new versions, and what pushd would do all the same.
var roles = []struct {
	names []string
	does  string
}{
	{[]string{"condure", "connmgr", "mongrel2"}, "serve clients"},
	{[]string{"pushpin-proxy", "proxy"}, "ask backends"},
	{[]string{"pushpin-handler", "handler"}, "take what is published"},
}

// services refuses a list that leaves a part of Pushpin out. pushd is one process, and would open
// the listeners of all parts.
func (p *parser) services() {
	e, ok := p.get("runner/services")
	if !ok {
		return
	}
	var listed []string
	for _, s := range strings.Split(e.value, ",") {
		listed = append(listed, strings.TrimSpace(s))
	}
	for _, r := range roles {
		if !slices.ContainsFunc(r.names, func(name string) bool { return slices.Contains(listed, name) }) {
			p.wrong.add(e.line, "services leaves out %s, and pushd would %s all the same: remove the line if that is right",
				strings.Join(r.names, " or "), r.does)
		}
	}
}

// portOffset is what is added to push_in_http_port. It does not change http_port.
func (p *parser) portOffset() int64 {
	e, ok := p.get("global/port_offset")
	if !ok {
		return 0
	}
	n, _ := p.parse(e, 0, 65535)
	return n
}

// logLevels are the levels 0 to 4.
var logLevels = []string{"error", "warn", "info", "debug", "debug"}

// logLevel takes log_level: a number, and others for single services as SERVICE:NUMBER, of which the highest counts when
// there is no number for all.
func (p *parser) logLevel() {
	e, ok := p.get("runner/log_level")
	if !ok {
		return
	}
	level, forAll := int64(-1), false
	for _, s := range strings.Split(e.value, ",") {
		_, number, ofService := strings.Cut(s, ":")
		if !ofService {
			number = s
		}
		n, ok := p.parse(entry{name: e.name, value: strings.TrimSpace(number), line: e.line}, 0, int64(len(logLevels)-1))
		if !ok {
			return
		}
		switch {
		case !ofService:
			level, forAll = n, true
		case !forAll:
			level = max(level, n)
		}
	}
	p.set("log-level", logLevels[level], e)
}
