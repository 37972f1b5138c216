package session

import (
	"net/netip"
	"strings"
	"testing"

	"holdfast/pkg/forwarded"
	"holdfast/pkg/origin"
	"holdfast/pkg/publish"
	"holdfast/pkg/stats"
)

func withOrigins(t *testing.T, allow ...string) Options {
	t.Helper()
	rules, err := origin.Parse(allow)
	if err != nil {
		t.Fatal(err)
	}
	o := testOptions
	o.Origins = rules
	return o
}

func from(origin string) string { return " HTTP/1.1\r\nHost: x\r\nOrigin: " + origin + "\r\n\r\n" }

const corsOfApp = "Access-Control-Allow-Origin: https://app.example\r\nAccess-Control-Allow-Credentials: true\r\n" + exposed

// What a page of another origin gets, for each kind of answer.
func TestOriginDecides(t *testing.T) {
	const refused = "this origin is not allowed: pushd --allow-origin names those that are"
	app := withOrigins(t, "https://other.example", "https://app.example")
	for _, tt := range []struct {
		name          string
		opts          Options
		request, want string
	}{
		{"default, another origin", testOptions, "GET /events?channel=a" + from("https://app.example"), text("403 Forbidden", "Vary: Origin\r\n", refused)},
		{"default, null", testOptions, "GET /ws?channel=a" + from("null"), text("403 Forbidden", "Vary: Origin\r\n", refused)},
		{"default, the same host", testOptions, "GET /stream?channel=a" + from("http://x"), holdHead + chunk},
		{"preflight of another origin", testOptions, "OPTIONS /events" + from("https://app.example"), text("403 Forbidden", "Vary: Origin\r\n", refused)},
		{"a listed origin", app, "GET /stream?channel=a" + from("https://app.example"),
			holdHead + "Transfer-Encoding: chunked\r\n" + closes + corsOfApp + "\r\n"},
		{"one that looks like it", app, "GET /stream?channel=a" + from("https://app.example.evil.org"), text("403 Forbidden", "Vary: Origin\r\n", refused)},
		{"preflight", app, "OPTIONS /events" + from("https://app.example"),
			"HTTP/1.1 204 No Content\r\nDate: *\r\nAllow: GET, HEAD, OPTIONS\r\nAccess-Control-Allow-Methods: GET, HEAD\r\n" +
				"Access-Control-Allow-Headers: Authorization, Cache-Control, Last-Event-ID\r\nAccess-Control-Max-Age: 7200\r\n" + corsOfApp + "\r\n"},
		{"an error that the page may read", app, "GET /events" + from("https://app.example"), text("400 Bad Request", corsOfApp, "missing parameter: channel")},
		{"HEAD of a poll", app, "HEAD /poll?channel=a" + from("https://app.example"), "HTTP/1.1 204 No Content\r\nDate: *\r\nCache-Control: no-store\r\n" + corsOfApp + "\r\n"},
		{"everybody, no credentials", withOrigins(t, "*"), "GET /stream?channel=a" + from("https://app.example"),
			holdHead + "Transfer-Encoding: chunked\r\n" + closes + "Access-Control-Allow-Origin: *\r\n" + exposed + "\r\n"},
		{"what needs no channel is for all", testOptions, "GET /health" + from("https://app.example"), text("200 OK", "Cache-Control: no-store\r\n", "ok")},
	} {
		f := newFakeWith(t, tt.opts)
		_, c := f.request(tt.request)
		if got := steady(c.out.String()); got != tt.want {
			t.Errorf("%s:\n%q\nwant:\n%q", tt.name, got, tt.want)
		}
	}
}

// Pages of this machine may use a pushd that serves this machine.
func TestLoopbackOriginOnLoopback(t *testing.T) {
	f := newFake(t)
	f.local = netip.MustParseAddr("127.0.0.1")
	_, c := f.request("GET /events?channel=a" + from("http://localhost:3000"))
	if !c.held || !strings.Contains(c.out.String(), "Access-Control-Allow-Origin: *\r\n") {
		t.Errorf("answer %q", c.out.String())
	}
}

// A bare host as the Origin is not of a browser: to a loopback listener it says nothing.
func TestOriginOfNoPage(t *testing.T) {
	for local, want := range map[string]string{
		"127.0.0.1": "HTTP/1.1 204 ", "::1": "HTTP/1.1 204 ", "192.0.2.1": "HTTP/1.1 403 ",
	} {
		f := newFake(t)
		f.local = netip.MustParseAddr(local)
		_, c := f.request("HEAD /poll?channel=a" + from("127.0.0.1"))
		got := c.out.String()
		if !strings.HasPrefix(got, want) || strings.Contains(got, "Access-Control") {
			t.Errorf("on %s: answer %q, want %s without fields of CORS", local, got, want)
		}
	}
}

// A browser sends one Origin. Of two, a good one in front must not hide the other.
func TestTwoOriginsAreRefused(t *testing.T) {
	f := newFakeWith(t, withOrigins(t, "https://app.example"))
	for _, second := range []string{"https://app.example", "https://evil.example"} {
		two := from("https://app.example\r\norigin: " + second)
		_, c := f.request("GET /events?channel=a" + two)
		if got := c.out.String(); !strings.HasPrefix(got, "HTTP/1.1 403 ") {
			t.Errorf("Origin of the app, then %s: answer %q, want 403", second, got)
		}
	}
}

// Answers to polls are encoded once for many, and each page still sees its own origin.
func TestPollsOfSeveralOrigins(t *testing.T) {
	f := newFakeWith(t, withOrigins(t, "https://one.example", "https://two.example"))
	_, none := f.request("GET /poll?channel=a" + host)
	_, one := f.request("GET /poll?channel=a" + from("https://one.example"))
	_, two := f.request("GET /poll?channel=a" + from("https://two.example"))
	_, old := f.request("GET /poll?channel=a HTTP/1.0\r\nConnection: keep-alive\r\nHost: y\r\nOrigin: https://two.example\r\n\r\n")
	it := publish.Item{Channel: "a", ID: "i7", Formats: publish.HTTPResponse, Response: publish.Response{Body: "hello"}}
	if got := f.publish(it); got[0] != 4 {
		t.Fatalf("receivers = %v, want 4", got)
	}
	for name, want := range map[*fakeConn]string{none: "", one: "https://one.example", two: "https://two.example", old: "https://two.example"} {
		all, bodies := responses(t, name.out.String())
		if len(all) != 1 || bodies[0] != "hello" || all[0].Header.Get("Last-Event-ID") != "i7" || all[0].Header.Get("Access-Control-Allow-Origin") != want {
			t.Errorf("for %q: %q", want, name.out.String())
		}
	}
	if !strings.Contains(old.out.String(), keepAliveField) {
		t.Errorf("HTTP/1.0 is not told that the connection stays: %q", old.out.String())
	}
}

// An item must not say on behalf of pushd which pages may read it.
func TestItemCannotSetReservedFields(t *testing.T) {
	f := newFake(t)
	_, c := f.get("/poll?channel=a")
	f.publish(publish.Item{Channel: "a", Formats: publish.HTTPResponse, Response: publish.Response{Body: "b", Headers: []publish.Header{
		{Name: "access-control-allow-origin", Value: "*"}, {Name: "Event-Gap", Value: "true"}, {Name: "Last-Event-ID", Value: "x"},
		{Name: "transfer-encoding", Value: "chunked"}, {Name: "X-Own", Value: "1"},
	}}})
	all, _ := responses(t, c.out.String())
	if len(all) != 1 || all[0].Header.Get("X-Own") != "1" {
		t.Fatalf("%q", c.out.String())
	}
	for _, name := range []string{"Access-Control-Allow-Origin", "Event-Gap", "Last-Event-ID"} {
		if got := all[0].Header.Get(name); got != "" {
			t.Errorf("%s: %q went through", name, got)
		}
	}
}

func TestConnectionsPerAddress(t *testing.T) {
	o := testOptions
	o.Addresses = forwarded.NewPerAddress(2)
	f := newFakeWith(t, o)
	first, _ := f.get("/events?channel=a")
	f.get("/events?channel=a")
	id, c := f.accept(false)
	if !c.finish || c.why != stats.CloseOverload || !strings.HasPrefix(c.out.String(), "HTTP/1.1 429 Too Many Requests\r\n") {
		t.Errorf("the third of an address: %v, %q", c.why, c.out.String())
	}
	if f.clients.peers.Find(id) != nil && f.clients.peers.Find(id).flags != 0 {
		t.Error("the refused one is remembered")
	}
	f.peer = netip.MustParseAddr("198.51.100.8")
	f.get("/events?channel=a")
	f.end(first, false, stats.CloseClient)
	f.peer = netip.MustParseAddr("198.51.100.7")
	f.get("/events?channel=a")
}

// Behind a trusted proxy the client counts, not the proxy; and an untrusted peer names nobody.
func TestForwardedAddressCounts(t *testing.T) {
	o := testOptions
	o.Addresses = forwarded.NewPerAddress(1)
	o.Trusted = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	f := newFakeWith(t, o)
	request := func(peer, header string) (id uint32, out string) {
		f.peer = netip.MustParseAddr(peer)
		id, c := f.request("GET /events?channel=a HTTP/1.1\r\nHost: x\r\n" + header + "\r\n")
		return id, c.out.String()[:len("HTTP/1.1 200")]
	}
	const ok, tooMany = "HTTP/1.1 200", "HTTP/1.1 429"
	for _, tt := range []struct{ peer, header, want string }{
		{"10.0.0.1", "X-Forwarded-For: 203.0.113.5\r\n", ok},
		{"10.0.0.1", "X-Forwarded-For: 203.0.113.5\r\n", tooMany},
		{"10.0.0.1", "X-Forwarded-For: 192.0.2.9, 203.0.113.5\r\n", tooMany}, // what the client wrote itself does not count
		{"10.0.0.1", "x-forwarded-for: 203.0.113.6, 10.0.0.9\r\n", ok},
		{"10.0.0.1", "X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 203.0.113.6\r\n", tooMany},
		{"198.51.100.7", "X-Forwarded-For: 203.0.113.77\r\n", ok},
		{"198.51.100.7", "X-Forwarded-For: 203.0.113.78\r\n", tooMany},
		{"10.0.0.1", "", ok}, // the proxy's own
	} {
		if _, got := request(tt.peer, tt.header); got != tt.want {
			t.Errorf("%s %q: %s, want %s", tt.peer, tt.header, got, tt.want)
		}
	}
}

// A proxy keeps its connections for whoever comes next: an idle one counts for nobody.
func TestForwardedAddressCountsWhileItIsServed(t *testing.T) {
	o := testOptions
	o.Addresses = forwarded.NewPerAddress(1)
	o.Trusted = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	f := newFakeWith(t, o)
	f.peer = netip.MustParseAddr("10.0.0.1")
	poll := "GET /poll?channel=a HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 203.0.113.5\r\n\r\n"
	for i := range 3 { // each on another connection of the proxy
		id, c := f.request(poll)
		if !c.held {
			t.Fatalf("poll %d: %q", i, c.out.String())
		}
		if _, second := f.request(poll); !strings.HasPrefix(second.out.String(), "HTTP/1.1 429") {
			t.Fatalf("a second one beside poll %d: %q", i, second.out.String())
		}
		f.clients.Due(id) // 204, and the connection stays
	}
}

func TestProxyProtocol(t *testing.T) {
	const get = "GET /events?channel=a" + host
	o := testOptions
	o.Addresses = forwarded.NewPerAddress(1)
	o.Trusted = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	v2 := "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + "\xcb\x00\x71\x05" + "\x0a\x00\x00\x01" + "\x9c\x40\x1f\x3f"
	for name, header := range map[string]string{
		"v1": "PROXY TCP4 203.0.113.5 10.0.0.1 40000 7999\r\n",
		"v2": v2,
	} {
		for split := range len(header) + 1 {
			f := newFakeWith(t, o)
			f.peer = netip.MustParseAddr("10.0.0.1")
			id, c := f.accept(false)
			f.write(id, header[:split])
			f.write(id, header[split:]+get)
			if !c.held {
				t.Fatalf("%s split at %d: %q", name, split, c.out.String())
			}
			if p := f.clients.peers.At(id); netip.AddrFrom16(p.counted).Unmap() != netip.MustParseAddr("203.0.113.5") {
				t.Fatalf("%s split at %d: counted as %v", name, split, netip.AddrFrom16(p.counted).Unmap())
			}
			f.end(id, false, stats.CloseClient)
			o.Addresses = forwarded.NewPerAddress(1)
		}
		f := newFakeWith(t, o)
		id, c := f.accept(false)
		for i := 0; i < len(header) && !c.over; i++ {
			f.write(id, header[i:i+1])
		}
		if !c.over {
			f.write(id, get)
		}
		if want := "the PROXY protocol is not taken from your address\n"; !c.finish || !strings.HasSuffix(c.out.String(), want) {
			t.Errorf("%s from an untrusted peer: %q", name, c.out.String())
		}
	}
	f := newFakeWith(t, o)
	f.peer = netip.MustParseAddr("10.0.0.1")
	_, c := f.request("PROXY TCP4 203.0.113.5 10.0.0.1 400000 7999\r\n" + get)
	if !c.finish || !strings.HasPrefix(c.out.String(), "HTTP/1.1 400") {
		t.Errorf("a bad header: %q", c.out.String())
	}
	_, c = f.request("PROXY TCP4 203.0.113.5 10.0.0.1 40000 7999\r\nPROXY TCP4 203.0.113.5 10.0.0.1 40000 7999\r\n" + get)
	if !c.finish || !strings.HasSuffix(c.out.String(), "a connection begins with one PROXY header at most\n") {
		t.Errorf("two headers: %q", c.out.String())
	}
	_, c = f.request(get) // a trusted peer need not send one
	if !c.held {
		t.Errorf("without a header: %q", c.out.String())
	}
}
