package session

import (
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"holdfast/pkg/stats"
)

// A record of a connection that is idle or held: a million of them are 12 MB. Four of the
// bytes are there for its age and its name, which an operator asks for.
func TestClientRecordIsSmall(t *testing.T) {
	if n := unsafe.Sizeof(client{}); n > 12 {
		t.Errorf("a client takes %d bytes, want at most 12", n)
	}
}

const (
	host     = " HTTP/1.1\r\nHost: x\r\n\r\n"
	holdHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\nX-Accel-Buffering: no\r\nDate: *\r\n"
	chunk    = "Transfer-Encoding: chunked\r\n" + closes + "\r\n"
)

// text is an answer of one line of text, with what varies replaced.
func text(status, fields, body string) string {
	return "HTTP/1.1 " + status + "\r\nDate: *\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: " +
		strconv.Itoa(len(body)+1) + "\r\n" + fields + "\r\n" + body + "\n"
}

func noBody(answer string) string { return answer[:strings.Index(answer, "\r\n\r\n")+4] }

// What becomes of a connection after its answer.
const (
	isHeld = "held"
	stays  = "stays"
	ends   = "ends"
)

const (
	closes     = "Connection: close\r\n"
	notFound   = "not found: /events, /stream, /poll and /ws are served here"
	noBodyHere = "content too large: a request here has no body"
	notGet     = "method not allowed: this is for GET"
)

const options = "HTTP/1.1 204 No Content\r\nDate: *\r\nAllow: GET, HEAD, OPTIONS\r\n\r\n"

var tooMany = "GET /events?" + strings.Repeat("channel=a&", 20) + "channel=b" + host

var answers = []struct {
	name, request, want, then string
}{
	{"events", "GET /events?channel=a" + host, holdHead + chunk + "10\r\n:\n\nretry: *\n\n\r\n", isHeld},
	{"stream", "GET /stream?channel=a" + host, holdHead + chunk, isHeld},
	{"stream with an opening", "GET /stream?channel=a&opening=1" + host, holdHead + chunk + "22\r\n" + streamOpen + "\r\n", isHeld},
	{"stream with an opening, HTTP/1.0", "GET /stream?channel=a&opening=1 HTTP/1.0\r\n\r\n", holdHead + closes + "\r\n" + streamOpen, isHeld},
	{"stream without an opening", "GET /stream?channel=a&opening=0" + host, holdHead + chunk, isHeld},
	{"bad opening", "GET /stream?channel=a&opening=yes" + host, text("400 Bad Request", "", "bad parameter opening: 0 or 1 is allowed"), stays},
	{"topic", "GET /stream?topic=a&x=y" + host, holdHead + chunk, isHeld},
	{"absolute form", "GET http://x/stream?channel=a" + host, holdHead + chunk, isHeld},
	{"events, HTTP/1.0", "GET /events?channel=a HTTP/1.0\r\n\r\n", holdHead + closes + "\r\n:\n\nretry: *\n\n", isHeld},
	{"stream, HTTP/1.0 with keep-alive", "GET /stream?channel=a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", holdHead + closes + "\r\n", isHeld},
	{"escaped name", "GET /stream?channel=%61+%c3%A4" + host, holdHead + chunk, isHeld},
	{"255 bytes", "GET /stream?channel=" + strings.Repeat("n", 255) + host, holdHead + chunk, isHeld},
	{"20 channels", strings.Replace(tooMany, "&channel=b", "", 1), holdHead + chunk + "10\r\n:\n\nretry: *\n\n\r\n", isHeld},
	{"with an empty body", "GET /stream?channel=a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", holdHead + chunk, isHeld},
	{"with a body", "GET /stream?channel=a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", text("413 Content Too Large", closes, noBodyHere), ends},
	{"with a chunked body that waits for 100", "GET /stream?channel=a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n", text("413 Content Too Large", closes, noBodyHere), ends},

	{"with an empty chunked body", "GET /health HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", text("200 OK", "Cache-Control: no-store\r\n", "ok"), stays},
	{"with an empty chunked body, held", "GET /events?channel=a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0;a=b\r\nX: y\r\n\r\n", holdHead + chunk + "10\r\n:\n\nretry: *\n\n\r\n", isHeld},
	{"with an empty chunked body, poll", "HEAD /poll?channel=a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "HTTP/1.1 204 No Content\r\nDate: *\r\nCache-Control: no-store\r\n\r\n", stays},
	{"with a chunked body", "GET /events?channel=a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", text("413 Content Too Large", closes, noBodyHere), ends},
	{"with a bad chunk", "GET /events?channel=a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nx", text("400 Bad Request", closes, "bad chunk: invalid size"), ends},

	{"escaped path", "GET /%68e%61lth" + host, text("200 OK", "Cache-Control: no-store\r\n", "ok"), stays},
	{"escaped slash", "GET /demo%2fconnections" + host, text("404 Not Found", "", notFound), stays},
	{"HEAD without Host", "HEAD /events?channel=a HTTP/1.1\r\n\r\n", noBody(text("400 Bad Request", closes, "missing header field: Host")), ends},
	{"HEAD with a bad field", "\r\nHEAD / HTTP/1.1\r\nHost : x\r\n\r\n", noBody(text("400 Bad Request", closes, "bad header field: space before the colon")), ends},
	{"many fields", "GET /health HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("a:\n", 200) + "\r\n", text("200 OK", "Cache-Control: no-store\r\n", "ok"), stays},

	{"HEAD", "HEAD /stream?channel=a" + host, holdHead + "Transfer-Encoding: chunked\r\n\r\n", stays},
	{"HEAD with close", "HEAD /events?channel=a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", holdHead + "Transfer-Encoding: chunked\r\n" + closes + "\r\n", ends},
	{"HEAD with a body", "HEAD /events?channel=a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", noBody(text("413 Content Too Large", closes, noBodyHere)), ends},
	{"HEAD, HTTP/1.0", "HEAD /events?channel=a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", holdHead + closes + "\r\n", ends},
	{"HEAD of nothing", "HEAD /x" + host, noBody(text("404 Not Found", "", notFound)), stays},
	{"HEAD without a channel", "HEAD /stream" + host, noBody(text("400 Bad Request", "", "missing parameter: channel")), stays},

	{"not found", "GET /x" + host, text("404 Not Found", "", notFound), stays},
	{"not found behind", "GET /events/?channel=a" + host, text("404 Not Found", "", notFound), stays},
	{"not found, with close", "GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", text("404 Not Found", closes, notFound), ends},
	{"not found, HTTP/1.0", "GET /x HTTP/1.0\r\n\r\n", text("404 Not Found", closes, notFound), ends},
	{"not found, HTTP/1.0 with keep-alive", "GET /x HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", text("404 Not Found", "Connection: keep-alive\r\n", notFound), stays},
	{"asterisk", "OPTIONS *" + host, options, stays},
	{"OPTIONS", "OPTIONS /events" + host, options, stays},
	{"OPTIONS of nothing", "OPTIONS /x" + host, text("404 Not Found", "", notFound), stays},
	{"health", "GET /health" + host, text("200 OK", "Cache-Control: no-store\r\n", "ok"), stays},
	{"ready", "GET /ready" + host, text("200 OK", "Cache-Control: no-store\r\n", "ready"), stays},
	{"method", "DELETE /events?channel=a" + host, text("405 Method Not Allowed", "Allow: GET, HEAD, OPTIONS\r\n", notGet), stays},
	{"methods have case", "get /events?channel=a" + host, text("405 Method Not Allowed", "Allow: GET, HEAD, OPTIONS\r\n", notGet), stays},
	{"POST with an empty body", "POST /events HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", text("405 Method Not Allowed", "Allow: GET, HEAD, OPTIONS\r\n", notGet), stays},
	{"POST with a body", "POST /events HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", text("405 Method Not Allowed", "Allow: GET, HEAD, OPTIONS\r\n"+closes, notGet), ends},
	{"POST with a chunked body", "POST /events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", text("405 Method Not Allowed", "Allow: GET, HEAD, OPTIONS\r\n"+closes, notGet), ends},
	{"POST that waits for 100", "POST /events HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n", text("405 Method Not Allowed", "Allow: GET, HEAD, OPTIONS\r\n"+closes, notGet), ends},

	{"no channel", "GET /events" + host, text("400 Bad Request", "", "missing parameter: channel"), stays},
	{"other parameters", "GET /events?chan=a&&=&x" + host, text("400 Bad Request", "", "missing parameter: channel"), stays},
	{"empty channel", "GET /events?channel=" + host, text("400 Bad Request", "", "bad parameter channel: channel name is empty"), stays},
	{"bad second channel", "GET /events?channel=a&topic=" + host, text("400 Bad Request", "", "bad parameter topic: channel name is empty"), stays},
	{"bad escape", "GET /events?channel=a%zz" + host, text("400 Bad Request", "", "bad parameter channel: bad percent-encoding at byte 1"), stays},
	{"cut escape", "GET /events?channel=a%2" + host, text("400 Bad Request", "", "bad parameter channel: bad percent-encoding at byte 1"), stays},
	{"control byte", "GET /events?channel=a%0d%0ab" + host, text("400 Bad Request", "", `bad parameter channel: channel name "a\r\nb" has a control character at byte 1`), stays},
	{"NUL", "GET /events?channel=%00" + host, text("400 Bad Request", "", `bad parameter channel: channel name "\x00" has a control character at byte 0`), stays},
	{"not UTF-8", "GET /events?channel=%ff" + host, text("400 Bad Request", "", `bad parameter channel: channel name "\xff" is not valid UTF-8 at byte 0`), stays},
	{"256 bytes", "GET /events?channel=" + strings.Repeat("n", 256) + host, text("400 Bad Request", "",
		`bad parameter channel: channel name "`+strings.Repeat("n", 64)+`"... is 256 bytes long, at most 255 are allowed`), stays},
	{"21 channels", tooMany, text("400 Bad Request", "", "bad parameter channel: too many channels: at most 20 for one connection"), stays},

	{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", text("400 Bad Request", closes, "not HTTP: this looks like a TLS handshake, and TLS is not spoken here"), ends},
	{"not HTTP", "\x00\x01\x02", text("400 Bad Request", closes, "not HTTP: the first bytes cannot begin an HTTP/1.x message"), ends},
	{"no Host", "GET /events HTTP/1.1\r\n\r\n", text("400 Bad Request", closes, "missing header field: Host"), ends},
	{"version", "GET /events HTTP/2.0\r\n\r\n", text("505 HTTP Version Not Supported", closes, "HTTP version not supported: only HTTP/1.0 and HTTP/1.1 are spoken here"), ends},
	{"method too long", strings.Repeat("M", 40) + " / HTTP/1.1\r\n\r\n", text("501 Not Implemented", closes, "bad request line: method too long"), ends},
	{"coding", "GET /events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", text("501 Not Implemented", closes, "unknown transfer coding: only chunked is understood"), ends},
	{"target too long", "GET /" + strings.Repeat("x", 1100), text("414 URI Too Long", closes, "target too long"), ends},
	{"head too large", "GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 1100), text("431 Request Header Fields Too Large", closes, "head too large"), ends},
	{"request smuggling", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", text("400 Bad Request", closes, "conflicting header fields: Transfer-Encoding and Content-Length"), ends},
}

// state says what became of the connection, and checks that the counters agree.
func (f *fakeTransport) state(id uint32) string {
	c := f.conns[id]
	switch {
	case c.over && !c.finish:
		return "closed: " + c.why.String()
	case c.over:
		return ends
	case c.held != (f.clients.table.At(id).phase == held):
		f.t.Errorf("the transport knows held=%v", c.held)
	case c.held:
		return isHeld
	case f.clients.table.At(id).phase != idle:
		return "waits for more"
	}
	return stays
}

func TestAnswers(t *testing.T) {
	for _, tt := range answers {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			id, c := f.request(tt.request)
			if got := steady(c.out.String()); got != tt.want {
				t.Errorf("answer:\n%q\nwant:\n%q", got, tt.want)
			}
			if got := f.state(id); got != tt.then {
				t.Errorf("the connection %s, want %s", got, tt.then)
			}
			if tt.then == stays && c.armed != testOptions.IdleTimeout {
				t.Errorf("deadline = %v, want the idle timeout", c.armed)
			}
			if http := f.stats.Connections[stats.HTTP].Load(); (http == 1) != (tt.then == stays) {
				t.Errorf("%d connections counted as http", http)
			}
		})
	}
}

// However a request is cut, its answer is the same.
func TestAnswersAtEverySplit(t *testing.T) {
	for _, tt := range answers {
		for i := 1; i < len(tt.request); i++ {
			f := newFake(t)
			id, c := f.request(tt.request[:i])
			if !c.over {
				f.write(id, tt.request[i:])
			}
			if got := steady(c.out.String()); got != tt.want || f.state(id) != tt.then {
				t.Fatalf("%s split at %d: the connection %s after\n%q\nwant %s after\n%q", tt.name, i, f.state(id), got, tt.then, tt.want)
			}
		}
		f := newFake(t)
		id, c := f.accept(false)
		for i := 0; i < len(tt.request) && !c.over; i++ {
			f.write(id, tt.request[i:i+1])
		}
		if got := steady(c.out.String()); got != tt.want || f.state(id) != tt.then {
			t.Fatalf("%s byte by byte: the connection %s after\n%q\nwant %s after\n%q", tt.name, f.state(id), got, tt.then, tt.want)
		}
	}
}

// Requests that come together are answered in order, a number of them before others have their turn.
func TestPipelining(t *testing.T) {
	f := newFake(t)
	id, c := f.accept(false)
	const requests = maxPipelined + 1
	in := strings.Repeat("GET /x"+host, requests-1) + "HEAD /stream?channel=a" + host
	used := f.clients.Data(id, []byte(in), 0)
	if want := maxPipelined * len("GET /x"+host); used != want || !c.again {
		t.Errorf("Data used %d of %d bytes, again=%v; want %d and another turn", used, len(in), c.again, want)
	}
	c.again = false
	f.write(id, in[used:]+"GET /stream?channel=a"+host+"GET /never"+host)
	all, _ := responses(t, c.out.String()[:strings.LastIndex(c.out.String(), "HTTP/1.1")],
		append(make([]string, requests-1), "HEAD")...)
	if len(all) != requests {
		t.Fatalf("%d responses, want %d", len(all), requests)
	}
	for i, res := range all {
		if want := map[bool]int{true: 200, false: 404}[i == requests-1]; res.StatusCode != want {
			t.Errorf("status of response %d = %d, want %d", i, res.StatusCode, want)
		}
	}
	if !c.held || c.in != "" {
		t.Errorf("held=%v with %q not used, want a held connection that hears no further request", c.held, c.in)
	}
}

func TestRepeatedChannelIsOneSubscription(t *testing.T) {
	f := newFake(t)
	id, _ := f.get("/stream?channel=a&topic=a&channel=%61&channel=b")
	if n := f.stats.Subscriptions.Load(); n != 2 {
		t.Errorf("%d subscriptions, want 2", n)
	}
	if got := f.publish(stream("x")); got[0] != 1 {
		t.Errorf("receivers = %d, want 1", got[0])
	}
	f.Close(id, stats.CloseClient)
	if n, ch := f.stats.Subscriptions.Load(), f.dir.Channels(); n != 0 || ch != 0 {
		t.Errorf("%d subscriptions of %d channels are left, want none", n, ch)
	}
}

func TestRefusedConnectionIsToldToComeBack(t *testing.T) {
	f := newFake(t)
	id, c := f.accept(true)
	want := text("503 Service Unavailable", "Retry-After: *\r\n"+closes, "too many connections: come back in a moment")
	if got := steady(c.out.String()); got != want {
		t.Errorf("answer:\n%q\nwant:\n%q", got, want)
	}
	if !c.finish || c.why != stats.CloseOverload {
		t.Errorf("connection %d: finish=%v, why=%v; want an orderly end for overload", id, c.finish, c.why)
	}
	all, _ := responses(t, c.out.String())
	if n, err := strconv.Atoi(all[0].Header.Get("Retry-After")); err != nil || n < 1 || n > 10 {
		t.Errorf("Retry-After = %q, want 1 to 10", all[0].Header.Get("Retry-After"))
	}
}

// A write that finds the connection closed ends everything, at each place where something is written.
func TestConnectionThatBreaksAtAWrite(t *testing.T) {
	for _, in := range []string{"GET /x" + host, "GET /stream?channel=a" + host, "HEAD /stream?channel=a" + host, "HEAD /stream?channel=a HTTP/1.0\r\n\r\n", "\x00", "GET /stream" + host + "GET /" + host} {
		f := newFake(t)
		id, c := f.accept(false)
		c.broken = true
		f.write(id, in)
		if !c.over || f.clients.table.Len() != 0 || f.stats.Subscriptions.Load() != 0 {
			t.Errorf("%q: over=%v, %d records and %d subscriptions left", in, c.over, f.clients.table.Len(), f.stats.Subscriptions.Load())
		}
		for k := range f.stats.Connections {
			if n := f.stats.Connections[k].Load(); n != 0 {
				t.Errorf("%q: %d connections of kind %d are counted, want 0", in, n, k)
			}
		}
	}
}
