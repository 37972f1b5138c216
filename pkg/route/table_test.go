package route

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

func request(host, path string) Request {
	return Request{Host: []byte(host), Path: []byte(path), Protocol: HTTP}
}

func TestMatch(t *testing.T) {
	for _, tt := range []struct {
		routes string // line numbers are the expectation
		q      Request
		line   int // 0 for none
	}{
		{"* b:80", request("a.example", "/"), 1},
		{"* b:80", request("", "*"), 1},
		{"* b:80\na.example b:80", request("A.Example:8080", "/"), 2},
		{"* b:80\na.example b:80", request("a.example.", "/"), 1},
		{"* b:80\na.example b:80", request("xa.example", "/"), 1},
		{"* b:80\na.example b:80", request(strings.Repeat("a.example", 100), "/"), 1},
		{"* b:80\nlocalhost b:80", request("", "/"), 2},
		{"* b:80\n::1 b:80", request("[::1]:80", "/"), 2},
		{"* b:80\n2001:DB8::A b:80", request("[2001:db8::a]", "/"), 2},
		{"a.example b:80", request("b.example", "/"), 0},
		{"id=x b:80", request("", "/"), 0},
		// a host with routes does not fall back
		{"* b:80\na,path_beg=/x b:80", request("a", "/y"), 0},
		{"* b:80\na,ssl=yes b:80", request("a", "/y"), 0},
		// path_beg is compared byte for byte, without segments
		{"*,path_beg=/x b:80", request("a", "/xy"), 1},
		{"*,path_beg=/x b:80", request("a", "/X"), 0},
		{"*,path_beg=/x b:80", request("a", "/"), 0},
		{"*,path_beg=/x b:80", request("a", ""), 0},
		{"*,path_beg=/x/ b:80", request("a", "/x"), 0},
		{"*,path_beg=/%78 b:80", request("a", "/x"), 1}, // the same path (RFC 3986 6.2.2.2)
		{"*,path_beg=/%2f b:80", request("a", "//"), 0},
		// the longest
		{"* b:80\n*,path_beg=/x b:80\n*,path_beg=/x/y b:80", request("a", "/x/yz"), 3},
		{"*,path_beg=/x/y b:80\n*,path_beg=/x b:80\n* b:80", request("a", "/x/z"), 2},
		{"*,path_beg=/x/y b:80\n*,path_beg=/x b:80\n* b:80", request("a", "/w"), 3},
		{"*,path_beg=/a b:80\n*,path_beg=/ab b:80\n*,path_beg=/abc b:80\n*,path_beg=/abd b:80", request("a", "/abe"), 2},
		// ssl
		{"* b:80\n*,ssl=yes b:80", Request{TLS: true}, 2},
		{"* b:80\n*,ssl=yes b:80", Request{}, 1},
		{"*,ssl=no b:80\n* b:80", Request{}, 1},
		{"*,ssl=no b:80\n* b:80", Request{TLS: true}, 2},
		{"*,ssl=yes b:80\n*,path_beg=/x b:80", Request{TLS: true, Path: []byte("/x")}, 2},
		{"*,path_beg=/x b:80\n*,ssl=yes b:80", Request{TLS: true, Path: []byte("/x")}, 2}, // Pushpin's circle
		{"*,path_beg=/x b:80\n*,ssl=yes b:80", Request{Path: []byte("/x")}, 1},
		// proto is before all else
		{"*,proto=ws b:80\n*,path_beg=/x,ssl=no b:80", Request{Protocol: WebSocket, Path: []byte("/x")}, 1},
		{"*,path_beg=/x,ssl=no b:80\n*,proto=ws b:80", Request{Protocol: WebSocket, Path: []byte("/x")}, 2},
		{"*,path_beg=/x,ssl=no b:80\n*,proto=ws b:80", Request{Protocol: HTTP, Path: []byte("/x")}, 1},
		{"*,proto=http b:80\n* b:80", Request{Protocol: HTTP}, 1},
		{"*,proto=http b:80\n* b:80", Request{Protocol: WebSocket}, 2},
		// the first of two lines with one condition
		{"*,path_beg=/x b:80\n*,path_beg=/x,debug b:81", request("a", "/x"), 1},
	} {
		got := 0
		if r := mustParse(t, tt.routes).Match(tt.q); r != nil {
			got = r.Line
		}
		if got != tt.line {
			t.Errorf("Match(%s %s %+v) of\n%s\nis line %d, want %d", tt.q.Host, tt.q.Path, tt.q, tt.routes, got, tt.line)
		}
	}
}

// matchOneByOne goes through all routes as Pushpin does.
func matchOneByOne(t *Table, host string, q Request) *Route {
	for _, r := range t.Routes() {
		if r.Host == host {
			return best(t, host, q)
		}
	}
	return best(t, "*", q)
}

func best(t *Table, host string, q Request) (best *Route) {
	for _, r := range t.Routes() {
		switch {
		case r.Host != host,
			r.Protocol != AnyProtocol && r.Protocol != q.Protocol,
			r.TLS != AnyTLS && (r.TLS == WithTLS) != q.TLS,
			!bytes.HasPrefix(q.Path, []byte(r.PathBeg)):
		case best == nil:
			best = r
		case best.Protocol == AnyProtocol && r.Protocol != AnyProtocol:
			best = r
		case best.Protocol != AnyProtocol && r.Protocol == AnyProtocol:
		case len(r.PathBeg) > len(best.PathBeg):
			best = r
		case best.TLS == AnyTLS && r.TLS != AnyTLS:
			best = r
		}
	}
	return best
}

func TestMatchIsThatOfPushpin(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(from ...string) string { return from[random.IntN(len(from))] }
	path := func() string {
		p := "/"
		for range random.IntN(4) {
			p += pick("a", "b", "/", "ab", "%61")
		}
		return p
	}
	matches := 0
	for range 300 {
		var text strings.Builder
		for range 1 + random.IntN(25) {
			text.WriteString(pick("*", "x", "y") + pick("", "", ",proto=http", ",proto=ws") + pick("", "", ",ssl=yes", ",ssl=no"))
			if random.IntN(4) > 0 {
				text.WriteString(",path_beg=" + path())
			}
			text.WriteString(" b:80\n")
		}
		table := mustParse(t, text.String())
		for range 50 {
			host := pick("x", "y", "z")
			q := Request{Host: []byte(host), Path: []byte(path()), TLS: random.IntN(2) == 0, Protocol: HTTP}
			if random.IntN(2) == 0 {
				q.Protocol = WebSocket
			}
			got, want := table.Match(q), matchOneByOne(table, host, q)
			if got != want {
				t.Fatalf("Match(%s %s, TLS %v, protocol %d) = %v, want %v, of\n%s", q.Host, q.Path, q.TLS, q.Protocol, got, want, &text)
			}
			if got != nil {
				matches++
			}
		}
	}
	if matches < 5000 {
		t.Errorf("only %d of 15,000 requests had a route", matches)
	}
}

func TestByID(t *testing.T) {
	table := mustParse(t, "*,id=one b:80\na b:80\na,id=two,path_beg=/x b:80\nb,id=two b:80\nid=three,path_beg=/y b:80\na,debug b:81")
	for id, line := range map[string]int{"one": 1, "a": 2, "two": 0, "three": 5, "*": 0, "": 0} {
		got := 0
		if r := table.ByID(id); r != nil {
			got = r.Line
		}
		if got != line {
			t.Errorf("ByID(%q) is line %d, want %d", id, got, line)
		}
	}
	if r := table.ByID("three"); !r.Covers([]byte("/yz")) || r.Covers([]byte("/")) {
		t.Errorf("Covers of %v", r)
	}
}

func TestAppendPath(t *testing.T) {
	for _, tt := range []struct{ line, path, want string }{
		{"* b:80", "/x", "/x"},
		{"*,path_rem=2 b:80", "/x/y", "/y"},
		{"*,path_rem=3 b:80", "/x/y", "/y"},
		{"*,path_rem=2 b:80", "/x", "/"},
		{"*,path_rem=9 b:80", "/x", "/"},
		{"*,path_beg=/x/,replace_beg=/z/ b:80", "/x/y", "/z/y"},
		{"*,path_beg=/x,replace_beg= b:80", "/x/y", "/y"},
		{"*,path_beg=/x,replace_beg= b:80", "/x", "/"},
		{"*,path_beg=/x/,replace_beg=z b:80", "/x/y", "/zy"},
		{"*,replace_beg=/z b:80", "/y", "/z/y"},
	} {
		if got := parseLine(t, tt.line).AppendPath([]byte("GET "), []byte(tt.path)); string(got) != "GET "+tt.want {
			t.Errorf("AppendPath(%s) of %q = %q, want %q", tt.path, tt.line, got, "GET "+tt.want)
		}
	}
}

func TestLocalPath(t *testing.T) {
	for _, tt := range []struct{ line, path, want string }{
		{"* direct", "/events", "/events"},
		{"*,path_beg=/ direct", "/events", "/events"},
		{"*,path_beg=/push direct", "/push/events", "/events"},
		{"*,path_beg=/push/ direct", "/push/events", "/events"},
		{"*,path_beg=/push test", "/push", ""},
		{"*,path_beg=/push/ test", "/push/", "/"},
	} {
		if got := parseLine(t, tt.line).LocalPath([]byte(tt.path)); string(got) != tt.want {
			t.Errorf("LocalPath(%s) of %q = %q, want %q", tt.path, tt.line, got, tt.want)
		}
	}
}

func TestString(t *testing.T) {
	const line = `a.example,id=one,proto=http,ssl=no,path_beg=/x,replace_beg=,as_host=b.example,"header=A:b, c",header=D:,` +
		`sig_iss=me,sig_key=base64:AAEC,prefix="p#",no_grip,debug,aco ` +
		`b:443,ssl,insecure,trust_connect_host,client_cert=c,client_key=k,host=h,untrusted,over_http,one_event,sub=a,sub="\\ \"" test,sub=z`
	want := strings.Replace(line, `"header=A:b, c"`, `header="A:b, c"`, 1)
	if got := parseLine(t, line).String(); got != want {
		t.Errorf("String() of\n%s is\n%s\nwant\n%s", line, got, want)
	}
	for _, line := range []string{"id=x,path_beg=/y b:80", "*,path_beg=/x,path_rem=2 b:80", "::1 direct,channel=a,channel=b", "* [::1]:80"} {
		if got := parseLine(t, line).String(); got != line {
			t.Errorf("String() = %s, want %s", got, line)
		}
	}
}

// FuzzParse holds that a table printed and parsed is the same table.
func FuzzParse(f *testing.F) {
	f.Add("# a\n*,path_beg=/x b:80,ssl test\n", true)
	f.Add(`a,id=one,proto=ws,"header=A:b, c",prefix="\\\"#" [::1]:80,sub="x y" direct,channel=x`, false)
	f.Add("id=one,sockjs=/x b:80\n* direct,channel=a", true)
	f.Add("a,path_rem=1,replace_beg=,as_host=[::1]:80,sig_iss=b,sig_key=base64:AA==,no_grip,debug,aco,log_level=1,ssl=no b:80,client_cert=x,client_key=y", false)
	f.Add(`"::1%a" "[fe80::1%e]:80",trusted,untrusted "b:1",sub="#"`, false)
	f.Fuzz(func(t *testing.T, text string, skip bool) {
		first, err := Parse("f", []byte(text), Options{SkipUnserved: skip})
		if err != nil {
			if first != nil || strings.Count(err.Error(), "\n") > len(text) {
				t.Fatalf("Parse(%q) = %v, %v", text, first, err)
			}
			return
		}
		second, err := Parse("f", []byte(first.String()), Options{})
		if err != nil {
			t.Fatalf("Parse of what Parse(%q) printed, %q: %v", text, first, err)
		}
		for _, r := range append(first.Routes(), second.Routes()...) {
			r.Line = 0
		}
		if !reflect.DeepEqual(first.Routes(), second.Routes()) || !reflect.DeepEqual(first.Hosts(), second.Hosts()) {
			t.Fatalf("Parse(%q) printed %q, which is not the same", text, first)
		}
		for _, r := range first.Routes() {
			first.Match(Request{Host: []byte(r.Host), Path: []byte(r.PathBeg), Protocol: HTTP})
			if got := r.AppendPath(nil, []byte(r.PathBeg)); len(got) == 0 || got[0] != '/' {
				t.Fatalf("AppendPath of %v = %q", r, got)
			}
		}
	})
}

// manyRoutes is a file with n routes: hosts with ten paths each, and some for all hosts.
func manyRoutes(n int) string {
	var b strings.Builder
	for i := range n {
		if i%10 == 9 {
			fmt.Fprintf(&b, "*,path_beg=/common/%d b:80\n", i)
		} else {
			fmt.Fprintf(&b, "host%d.example,path_beg=/service/%d/ b:80\n", i/10, i%10)
		}
	}
	return b.String() + "* b:80\n"
}

func matchRequests() map[string]Request {
	return map[string]Request{
		"host and path": request("host70.example:7999", "/service/7/rooms/general"),
		"no path":       request("HOST70.example", "/other"),
		"common path":   request("elsewhere.example", "/common/509/x"),
		"any":           request("elsewhere.example", "/x"),
	}
}

func TestMatchDoesNotAllocate(t *testing.T) {
	table := mustParse(t, manyRoutes(1000))
	path := make([]byte, 0, 100)
	for name, q := range matchRequests() {
		if n := testing.AllocsPerRun(100, func() {
			if r := table.Match(q); r != nil {
				path = r.AppendPath(path[:0], r.LocalPath(q.Path))
			}
		}); n != 0 {
			t.Errorf("%s: Match allocates %v times, want 0", name, n)
		}
	}
}

func BenchmarkMatch(b *testing.B) {
	for _, n := range []int{1, 1000} {
		table := mustParse(b, manyRoutes(n))
		for name, q := range matchRequests() {
			b.Run(fmt.Sprintf("routes=%d/%s", n, name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					table.Match(q)
				}
			})
		}
	}
}

func BenchmarkParse(b *testing.B) {
	text := []byte(manyRoutes(1000))
	b.ReportAllocs()
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := Parse("f", text, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

func TestNamed(t *testing.T) {
	table, err := Parse("routes", []byte("a.test,id=a,path_beg=/x 127.0.0.1:1\nid=only 127.0.0.1:2\nb.test 127.0.0.1:3\n"+
		"c.test,id=twice 127.0.0.1:4\nd.test,id=twice 127.0.0.1:5\n"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		id, path string
		line     int // 0: none
	}{
		{"a", "/x/y", 1}, {"a", "/y", 0}, {"only", "/", 2}, {"b.test", "/", 0}, {"twice", "/", 0}, {"", "/", 0}, {"none", "/", 0},
	} {
		line := 0
		if r := table.Named(test.id, []byte(test.path)); r != nil {
			line = r.Line
		}
		if line != test.line {
			t.Errorf("Named(%q, %s) is line %d, want %d", test.id, test.path, line, test.line)
		}
	}
}

// What Options look at besides the file is named with the place of its parameter.
func TestKeysAndCertificatesAreLookedAt(t *testing.T) {
	opts := Options{
		SigKey: func(spec string) (string, error) {
			if spec == "weak" {
				return "it is weak", nil
			}
			return "", errors.New("no such key")
		},
		ClientCert: func(certificate, key string) error { return fmt.Errorf("%s and %s do not match", certificate, key) },
	}
	_, err := Parse("routes", []byte("a,sig_key=file:x 127.0.0.1:1\nb 127.0.0.1:2,ssl,client_key=k,client_cert=c\n"), opts)
	const want = "routes:1:3: sig_key: no such key\nroutes:2:32: client_cert and client_key: c and k do not match"
	if err == nil || err.Error() != want {
		t.Errorf("err = %v, want %s", err, want)
	}
	table, err := Parse("routes", []byte("a,sig_key=weak 127.0.0.1:1\n"), opts)
	if err != nil || len(table.Warnings()) != 1 || table.Warnings()[0].Error() != "routes:1:3: sig_key: it is weak" {
		t.Errorf("warnings = %v, %v", table.Warnings(), err)
	}
}
