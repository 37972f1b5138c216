package control

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/pkg/hub"
)

const oneItem = `{"items":[{"channel":"c","formats":{"http-stream":{"content":"x\n"}}}]}`

// post makes a request to the endpoint; edit changes it before it is sent.
func post(s *HTTPServer, method, target, body string, edit func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Host = "localhost:5561"
	if edit != nil {
		edit(r)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

func TestHTTPAnswers(t *testing.T) {
	s := NewHTTP(HTTPOptions{Publisher: &fakeHub{}, MaxBody: 4000, MaxMessage: 100})
	header := func(name string, values ...string) func(*http.Request) {
		return func(r *http.Request) { r.Header[name] = values }
	}
	host := func(h string) func(*http.Request) { return func(r *http.Request) { r.Host = h } }
	long := strings.Repeat("x", 101)
	for name, c := range map[string]struct {
		method, target, body string
		edit                 func(*http.Request)
		code                 int
		want                 string
	}{
		"publish":         {"POST", "/publish/", oneItem, nil, 200, "Published\n"},
		"without slash":   {"POST", "/publish", oneItem, nil, 200, "Published\n"},
		"with a query":    {"POST", "/publish/?iss=a&x=1", oneItem, nil, 200, "Published\n"},
		"no items":        {"POST", "/publish/", `{"items":[]}`, nil, 200, "Published\n"},
		"accept all":      {"POST", "/publish/", oneItem, header("Accept", "*/*"), 200, "Published\n"},
		"accept JSON":     {"POST", "/publish/", oneItem, header("Accept", "application/json"), 200, `{"message":"Published","receivers":[0]}` + "\n"},
		"accept neither":  {"POST", "/publish/", oneItem, header("Accept", "image/png"), 406, "Not Acceptable. Supported formats are text/plain and application/json.\n"},
		"not JSON":        {"POST", "/publish/", `{"items"`, nil, 400, "Body is not valid JSON.\n"},
		"no object":       {"POST", "/publish/", `[1]`, nil, 400, "Invalid format.\n"},
		"items missing":   {"POST", "/publish/", `{}`, nil, 400, "Invalid format: object does not contain 'items'\n"},
		"items no list":   {"POST", "/publish/", `{"items":{}}`, nil, 400, "Invalid format: object contains 'items' with wrong type\n"},
		"bad item":        {"POST", "/publish/", `{"items":[` + oneItem[10:len(oneItem)-2] + `,{"channel":"c","formats":{}}]}`, nil, 400, "Invalid format: no formats specified (item 1)\n"},
		"unknown formats": {"POST", "/publish/", `{"items":[{"channel":"c","formats":{"x":1}},` + oneItem[10:len(oneItem)-2] + `]}`, header("Accept", "application/json"), 200, `{"message":"Published","receivers":[0,0]}` + "\n"},
		"byte order mark": {"POST", "/publish/", "\ufeff" + oneItem, nil, 200, "Published\n"},
		"bad id":          {"POST", "/publish/", `{"items":[` + oneItem[10:len(oneItem)-2] + `,{"channel":"c","id":"\u007f","formats":{"sse":{"data":""}}}]}`, nil, 400, `Invalid format: publish item object contains 'id' with invalid value: "\x7f" contains the control character U+007F (item 1)` + "\n"},
		"content too big": {"POST", "/publish/", strings.Replace(oneItem, `x\n`, long, 1), nil, 400, "Invalid format: item too large: a content of 101 bytes, 100 are allowed (item 0)\n"},
		"body too big":    {"POST", "/publish/", strings.Repeat(" ", 4001), nil, 400, "Request body too large.\n"},
		"no length":       {"POST", "/publish/", oneItem, func(r *http.Request) { r.ContentLength = -1 }, 411, "Request requires Content-Length.\n"},
		"GET":             {"GET", "/publish/", "", nil, 405, "Method not allowed: GET.\n"},
		"another path":    {"POST", "/elsewhere", oneItem, nil, 404, "Not Found\n"},
		"web page":        {"POST", "/publish/", oneItem, header("Origin", "http://localhost:5561"), 403, "Requests from web pages are not allowed.\n"},
		"null origin":     {"POST", "/publish/", oneItem, header("Origin", "null"), 403, "Requests from web pages are not allowed.\n"},
		"foreign host":    {"POST", "/publish/", oneItem, host("evil.example:5561"), 403, "Host not allowed.\n"},
		"foreign address": {"POST", "/publish/", oneItem, host("192.0.2.1"), 403, "Host not allowed.\n"},
		"IPv4 host":       {"POST", "/publish/", oneItem, host("127.0.0.1:5561"), 200, "Published\n"},
		"IPv6 host":       {"POST", "/publish/", oneItem, host("[::1]:5561"), 200, "Published\n"},
		"IPv6 bare":       {"POST", "/publish/", oneItem, host("[::1]"), 200, "Published\n"},
		"no host":         {"POST", "/publish/", oneItem, host(""), 200, "Published\n"},
	} {
		w := post(s, c.method, c.target, c.body, c.edit)
		if w.Code != c.code || w.Body.String() != c.want {
			t.Errorf("%s: %d %q, want %d %q", name, w.Code, w.Body, c.code, c.want)
		}
		if wantType := "text/plain"; !strings.HasPrefix(c.want, "{") && w.Header().Get("Content-Type") != wantType {
			t.Errorf("%s: Content-Type %q, want %q", name, w.Header().Get("Content-Type"), wantType)
		}
	}
	if w := post(s, "PUT", "/publish", "", nil); w.Header().Get("Allow") != "POST" {
		t.Errorf("Allow = %q, want POST", w.Header().Get("Allow"))
	}
}

func TestNamedListenerIsAHost(t *testing.T) {
	s := NewHTTP(HTTPOptions{Publisher: &fakeHub{}, Names: []string{"publish.internal"}})
	w := post(s, "POST", "/publish/", oneItem, func(r *http.Request) { r.Host = "Publish.Internal:5561" })
	if w.Code != 200 {
		t.Errorf("Host of the listener's name: %d %s", w.Code, w.Body)
	}
	addr := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 5561}
	w = post(s, "POST", "/publish/", oneItem, func(r *http.Request) {
		*r = *r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, addr))
		r.Host = "192.0.2.7:5561"
	})
	if w.Code != 200 {
		t.Errorf("Host of the local address: %d %s", w.Code, w.Body)
	}
}

// A publisher has to show the token, and nobody else gets in by something like it.
func TestPublishToken(t *testing.T) {
	f := &fakeHub{}
	s := NewHTTP(HTTPOptions{Publisher: f, Token: "s3cret-token"})
	for value, code := range map[string]int{
		"":                      401,
		"Bearer s3cret-token":   200,
		"bearer s3cret-token":   200,
		"Bearer s3cret-tokeN":   401,
		"Bearer s3cret-token2":  401,
		"Bearer s3cret":         401,
		"Bearer ":               401,
		"Bearer":                401,
		"s3cret-token":          401,
		"Basic s3cret-token":    401,
		"Bearer s3cret-token,x": 401,
	} {
		w := post(s, "POST", "/publish/", oneItem, func(r *http.Request) {
			if value != "" {
				r.Header.Set("Authorization", value)
			}
		})
		if w.Code != code {
			t.Errorf("Authorization %q: %d, want %d", value, w.Code, code)
		}
		if challenge := w.Header().Get("WWW-Authenticate"); (challenge == "Bearer") != (code == 401) {
			t.Errorf("Authorization %q: WWW-Authenticate %q", value, challenge)
		}
	}
	if got := len(f.channels()); got != 2 {
		t.Errorf("published %d items, want 2", got)
	}
	page := post(s, "POST", "/publish/", oneItem, func(r *http.Request) {
		r.Header.Set("Authorization", "Bearer s3cret-token")
		r.Header.Set("Origin", "http://localhost:5561")
	})
	if page.Code != 403 {
		t.Errorf("a page with the token: %d, want 403", page.Code)
	}
}

func TestProbes(t *testing.T) {
	draining := false
	s := NewHTTP(HTTPOptions{Publisher: &fakeHub{}, Token: "s3cret-token", Draining: func() bool { return draining }})
	foreign := func(r *http.Request) { r.Host = "lb.example"; r.Header.Set("Origin", "http://lb.example") }
	check := func(method, target string, code int, text string) {
		t.Helper()
		if w := post(s, method, target, "", foreign); w.Code != code || w.Body.String() != text {
			t.Errorf("%s %s: %d %q, want %d %q", method, target, w.Code, w.Body, code, text)
		}
	}
	check("GET", "/health", 200, "ok\n")
	check("GET", "/ready", 200, "ready\n")
	check("POST", "/ready", 405, "Method not allowed: POST.\n")
	draining = true
	check("GET", "/health", 200, "ok\n")
	check("GET", "/ready", 503, "draining\n")
	if w := post(s, "GET", "/", "", nil); w.Code != 200 || w.Body.String() != "Pushpin API\n" {
		t.Errorf("GET /: %d %q", w.Code, w.Body)
	}
}

// A bad item keeps the whole body from being published.
func TestBadItemRejectsItsBatch(t *testing.T) {
	f := &fakeHub{}
	post(NewHTTP(HTTPOptions{Publisher: f}), "POST", "/publish/",
		`{"items":[{"channel":"c","formats":{"http-stream":{"content":"x"}}},{"channel":""}]}`, nil)
	if got := f.channels(); len(got) != 0 {
		t.Errorf("published %q", got)
	}
}

func TestFullHubIsAnsweredBy503(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeHub{hold: make(chan struct{})}
		start := time.Now()
		w := post(NewHTTP(HTTPOptions{Publisher: f}), "POST", "/publish/", oneItem, nil)
		if w.Code != 503 || w.Header().Get("Retry-After") == "" || time.Since(start) != publishTimeout {
			t.Errorf("after %v: %d, Retry-After %q", time.Since(start), w.Code, w.Header().Get("Retry-After"))
		}
	})
}

func TestReceiversThatComeTooLateAreLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewHTTP(HTTPOptions{Publisher: &fakeHub{late: make(chan *hub.Batch, 2)}})
		w := post(s, "POST", "/publish/", oneItem, func(r *http.Request) { r.Header.Set("Accept", "application/json") })
		if want := `{"message":"Published"}` + "\n"; w.Code != 200 || w.Body.String() != want {
			t.Errorf("%d %q, want %q", w.Code, w.Body, want)
		}
		start := time.Now() // text does not wait at all
		if w := post(s, "POST", "/publish/", oneItem, nil); w.Code != 200 || time.Since(start) != 0 {
			t.Errorf("text after %v: %d %q", time.Since(start), w.Code, w.Body)
		}
	})
}

// serveHTTP serves the endpoint on loopback and returns its address.
func serveHTTP(t *testing.T, o HTTPOptions) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- NewHTTP(o).Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return ln.Addr().String()
}

func TestHTTPOverASocket(t *testing.T) {
	f := &fakeHub{}
	addr := serveHTTP(t, HTTPOptions{Publisher: f})
	for _, version := range []string{"1.0", "1.1"} {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		fmt.Fprintf(nc, "POST /publish/ HTTP/%s\r\nHost: %s\r\nContent-Length: %d\r\n\r\n%s", version, addr, len(oneItem), oneItem)
		resp, err := http.ReadResponse(bufio.NewReader(nc), nil)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != 200 || string(body) != "Published\n" {
			t.Errorf("HTTP/%s: %d %q", version, resp.StatusCode, body)
		}
	}
	if got := f.channels(); len(got) != 2 {
		t.Errorf("published %q, want two", got)
	}
}

func TestHugeHTTPHeadIsRefused(t *testing.T) {
	nc, err := net.Dial("tcp", serveHTTP(t, HTTPOptions{Publisher: &fakeHub{}}))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	go io.WriteString(nc, "POST /publish/ HTTP/1.1\r\nHost: localhost\r\nX: "+strings.Repeat("x", 1<<20)) //nolint:errcheck // it stops reading
	resp, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil || resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a head of 1 MiB: %v, %v", resp, err)
	}
}

func TestAcceptsJSON(t *testing.T) {
	for _, c := range []struct {
		accept   []string
		json, ok bool
	}{
		{nil, false, true},
		{[]string{"*/*"}, false, true},
		{[]string{"text/plain"}, false, true},
		{[]string{"application/json"}, true, true},
		{[]string{"application/*"}, true, true},
		{[]string{"application/json, */*"}, true, true},
		{[]string{"application/json", "text/plain"}, false, true},
		{[]string{"application/json, text/plain;q=0.5"}, true, true},
		{[]string{"application/json;q=0.2, text/*;q=0.5"}, false, true},
		{[]string{"*/*;q=0.1, text/plain;q=0"}, true, true},
		{[]string{"image/png"}, false, false},
		{[]string{"application/json;q=0"}, false, false},
		{[]string{";;;"}, false, false},
	} {
		if json, ok := acceptsJSON(c.accept); json != c.json || ok != c.ok {
			t.Errorf("acceptsJSON(%q) = %v, %v, want %v, %v", c.accept, json, ok, c.json, c.ok)
		}
	}
}
