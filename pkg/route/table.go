package route

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Table are the routes of one file. It does not change, so that any goroutine may use it without a lock.
type Table struct {
	routes   []*Route
	warnings []*Problem
	hosts    map[string]*index // by host in lower case
	others   *index            // the routes of *; nil without any
	ids      map[string]*Route // nil for an id that several routes have
	targets  []string
}

// Request is what a route is chosen by. Match keeps none of its slices.
type Request struct {
	Host     []byte // the Host field as received, with or without a port; empty for none
	Path     []byte // as it was sent, without the query
	TLS      bool   // the client came by https or wss
	Protocol Protocol
}

// index finds a host's routes by the longest path_beg with which a path begins. Requests differ in two more ways, so that
// each node has its routes decided for four kinds of requests.
type index struct {
	nodes []node // by path; the first has the empty path
}

type node struct {
	path   string
	parent int       // the node with the longest shorter path that path begins with; -1 for the first
	routes [4]*Route // by class; nil when none matches
}

// class numbers the requests that conditions can tell apart besides host and path.
func class(p Protocol, tls bool) int {
	n := 0
	if p == WebSocket {
		n = 2
	}
	if tls {
		n++
	}
	return n
}

// newTable joins the routes of a file. It leaves out, with a warning, those whose condition came before.
func newTable(file string, routes []*Route, warnings []*Problem) *Table {
	t := &Table{warnings: warnings, hosts: map[string]*index{}, ids: map[string]*Route{}}
	warn := func(r *Route, format string, args ...any) {
		t.warnings = append(t.warnings, &Problem{File: file, Line: r.Line, Text: fmt.Sprintf(format, args...)})
	}
	byHost := map[string][]*Route{}
	first := map[string]*Route{}
	for _, r := range routes {
		if r.Host != "" {
			condition := string(r.appendCondition(nil, false))
			if before := first[condition]; before != nil {
				warn(r, "line left out: line %d has the same condition", before.Line)
				continue
			}
			first[condition] = r
			byHost[r.Host] = append(byHost[r.Host], r)
		}
		t.routes = append(t.routes, r)
		t.addID(r, warn)
	}
	t.others = newIndex(byHost["*"], warn)
	for _, r := range t.routes { // in the order of the file, for that of the warnings
		if r.Host == "" || r.Host == "*" || t.hosts[r.Host] != nil {
			continue
		}
		x := newIndex(byHost[r.Host], warn)
		t.hosts[r.Host] = x
		if t.others != nil && !x.complete() {
			warn(r, "requests for %s that match none of its routes get 502: they do not fall back to those of *", r.Host)
		}
	}
	t.targets = targetHosts(t.routes)
	slices.SortStableFunc(t.warnings, func(a, b *Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return t
}

func (t *Table) addID(r *Route, warn func(*Route, string, ...any)) {
	if before, taken := t.ids[r.ID]; !taken {
		t.ids[r.ID] = r
	} else {
		if before != nil {
			warn(before, "id %s is given to other routes too: none of them is found by it", r.ID)
		}
		t.ids[r.ID] = nil
	}
}

// newIndex returns the index of one host's routes, given in the order of the file, or nil when there are none.
func newIndex(routes []*Route, warn func(*Route, string, ...any)) *index {
	if len(routes) == 0 {
		return nil
	}
	x := &index{nodes: []node{{parent: -1}}}
	byPath := map[string][]*Route{}
	for _, r := range routes {
		if byPath[r.PathBeg] == nil && r.PathBeg != "" {
			x.nodes = append(x.nodes, node{path: r.PathBeg})
		}
		byPath[r.PathBeg] = append(byPath[r.PathBeg], r)
	}
	slices.SortFunc(x.nodes, func(a, b node) int { return strings.Compare(a.path, b.path) })
	var overruled [][2]*Route
	for i := range x.nodes {
		n := &x.nodes[i]
		if i > 0 {
			n.parent = i - 1
			for !strings.HasPrefix(n.path, x.nodes[n.parent].path) {
				n.parent = x.nodes[n.parent].parent
			}
		}
		var candidates []*Route
		for at := i; at >= 0; at = x.nodes[at].parent {
			candidates = append(candidates, byPath[x.nodes[at].path]...)
		}
		slices.SortFunc(candidates, byLine)
		for c := range n.routes {
			n.routes[c] = decide(candidates, c)
			overruled = appendOverruled(overruled, candidates, c, n.routes[c])
		}
	}
	slices.SortFunc(overruled, func(a, b [2]*Route) int { return cmp.Or(byLine(a[0], b[0]), byLine(a[1], b[1])) })
	for _, pair := range slices.Compact(overruled) {
		warn(pair[0], "line %d takes requests in spite of the longer path_beg here, as in Pushpin: an ssl that comes later counts more",
			pair[1].Line)
	}
	return x
}

func byLine(a, b *Route) int { return cmp.Compare(a.Line, b.Line) }

// decide returns the route for requests of a class that the path_beg of all candidates matches. It goes through them in
// the order of the file, as Pushpin does: its preferences run in a circle, so that the order can matter.
func decide(candidates []*Route, class int) (best *Route) {
	for _, r := range candidates {
		if r.admits(class) && (best == nil || r.beats(best)) {
			best = r
		}
	}
	return best
}

// admits reports whether the condition lets requests of the class pass.
func (r *Route) admits(class int) bool {
	webSocket, tls := class&2 != 0, class&1 != 0
	return (r.Protocol == AnyProtocol || (r.Protocol == WebSocket) == webSocket) &&
		(r.TLS == AnyTLS || (r.TLS == WithTLS) == tls)
}

// beats reports whether r, which comes later in the file, is more specific than s.
func (r *Route) beats(s *Route) bool {
	if (r.Protocol == AnyProtocol) != (s.Protocol == AnyProtocol) {
		return s.Protocol == AnyProtocol
	}
	return len(r.PathBeg) > len(s.PathBeg) || r.TLS != AnyTLS && s.TLS == AnyTLS
}

// appendOverruled appends the pairs of a route and the winner that takes its requests though its path_beg is shorter.
func appendOverruled(pairs [][2]*Route, candidates []*Route, class int, winner *Route) [][2]*Route {
	for _, r := range candidates {
		if r.admits(class) && len(r.PathBeg) > len(winner.PathBeg) && (r.Protocol == AnyProtocol) == (winner.Protocol == AnyProtocol) {
			pairs = append(pairs, [2]*Route{r, winner})
		}
	}
	return pairs
}

// complete reports whether there is a route for every request, whatever its path.
func (x *index) complete() bool {
	for c := range 4 {
		if x.find([]byte("/"), c) == nil {
			return false
		}
	}
	return true
}

// find returns the route for a path. Of all paths in order, the longest that path begins with is the one before it or one
// with which that begins.
func (x *index) find(path []byte, class int) *Route {
	low, high := 0, len(x.nodes) // the empty path of the first node is never above
	for high-low > 1 {
		if middle := (low + high) / 2; x.nodes[middle].path <= string(path) {
			low = middle
		} else {
			high = middle
		}
	}
	for low > 0 && (len(path) < len(x.nodes[low].path) || string(path[:len(x.nodes[low].path)]) != x.nodes[low].path) {
		low = x.nodes[low].parent
	}
	return x.nodes[low].routes[class]
}

// Match returns the route of a request, or nil when there is none. It allocates nothing.
//
// A host with routes never gets one of *. Of those that match, one with proto is before one without, then the one with the
// longer path_beg, then one with ssl before one without, then the one that comes first in the file; but one with ssl also
// takes the place of an earlier one without ssl and with a longer path_beg, as in Pushpin. A request without a host is one
// for localhost.
func (t *Table) Match(q Request) *Route {
	x := t.others
	if len(t.hosts) > 0 {
		var buf [maxHostBytes]byte
		if own := t.hosts[string(lowerHost(buf[:0], q.Host))]; own != nil {
			x = own
		}
	}
	if x == nil {
		return nil
	}
	return x.find(q.Path, class(q.Protocol, q.TLS))
}

// lowerHost appends the host of a Host field to dst, in lower case and without port and brackets; nothing when it is
// longer than any host.
func lowerHost(dst, host []byte) []byte {
	if len(host) == 0 {
		return append(dst, "localhost"...)
	}
	if host[0] == '[' {
		host = host[1:]
		if i := bytes.IndexByte(host, ']'); i >= 0 {
			host = host[:i]
		}
	} else if i := bytes.IndexByte(host, ':'); i >= 0 {
		host = host[:i]
	}
	if len(host) > maxHostBytes {
		return dst
	}
	for _, c := range host {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		dst = append(dst, c)
	}
	return dst
}

// ByID returns the route with an ID, or nil when no route or more than one has it. A hold remembers its route by the ID,
// because the file may be read again while it lasts.
func (t *Table) ByID(id string) *Route { return t.ids[id] }

// Named returns the route that a request asks for by the id of its line, as Pushpin-Route does: nil when no line has the id, when
// several have it, or when its path_beg does not match.
func (t *Table) Named(id string, path []byte) *Route {
	if r := t.ids[id]; r != nil && r.Named && r.Covers(path) {
		return r
	}
	return nil
}

// Routes returns the routes in the order of the file. They and the slice are the table's.
func (t *Table) Routes() []*Route { return t.routes }

// Warnings returns what is not wrong with the file and should be known, in the order of the file. The slice is the table's.
func (t *Table) Warnings() []*Problem { return t.warnings }

// Hosts returns the hosts to which targets connect, sorted, each once, in the form of Target.Host. Besides the request's own
// origin they are all that anything may be fetched from. The slice is the table's.
func (t *Table) Hosts() []string { return t.targets }

func targetHosts(routes []*Route) []string {
	var hosts []string
	for _, r := range routes {
		for i := range r.Targets {
			if h := r.Targets[i].Host; h != "" {
				hosts = append(hosts, h)
			}
		}
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// String returns the routes as a file that gives the same table. It contains the keys of signatures.
func (t *Table) String() string {
	var b strings.Builder
	for _, r := range t.routes {
		b.WriteString(r.String())
		b.WriteByte('\n')
	}
	return b.String()
}
