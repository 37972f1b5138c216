package oracle

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
)

// backend is the stub behind one proxy. It answers as the case wants that the first segment of the path names, and keeps
// what it was asked.
type backend struct {
	server *httptest.Server

	warming sync.WaitGroup // ends when all requests of warm are here

	mu   sync.Mutex
	seen map[string][][]string // by case, then by request: its lines
}

func startBackend(t *testing.T) *backend {
	t.Helper()
	b := &backend{seen: make(map[string][][]string)}
	b.server = httptest.NewServer(b)
	t.Cleanup(b.server.Close)
	return b
}

func (b *backend) addr() string { return b.server.Listener.Addr().String() }

func (b *backend) count(path string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.seen[path])
}

func (b *backend) requests(path string) [][]string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.seen[path])
}

func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	lines := []string{fmt.Sprintf("%s %s %s", r.Method, r.RequestURI, r.Proto), "host: " + r.Host}
	for name, values := range r.Header {
		for _, value := range values {
			lines = append(lines, field(name, value))
		}
	}
	if len(r.TransferEncoding) > 0 {
		lines = append(lines, "transfer-encoding: "+strings.Join(r.TransferEncoding, ", "))
	}
	slices.Sort(lines[1:])
	lines = append(lines, fmt.Sprintf("body %q", body))
	if err != nil {
		lines = append(lines, "body ends early")
	}
	for _, segment := range strings.Split(r.URL.Path, "/") {
		if c, ok := byName[segment]; ok {
			b.mu.Lock()
			b.seen[c.name] = append(b.seen[c.name], lines)
			b.mu.Unlock()
			c.backend(w, r, body)
			return
		}
	}
	if r.URL.Path == "/warm" {
		b.warming.Done()
		b.warming.Wait()
	}
	io.WriteString(w, "ready") // before the cases
}

// raw answers with bytes, and closes the connection.
func raw(answer string) answerer {
	return func(w http.ResponseWriter, _ *http.Request, _ []byte) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		io.WriteString(conn, answer)
		if tcp, ok := conn.(*net.TCPConn); ok {
			tcp.CloseWrite()
		}
		conn.Close()
	}
}

// answer answers with a status, fields given as lines, and a body.
func answer(status int, fields, body string) answerer {
	return func(w http.ResponseWriter, r *http.Request, _ []byte) {
		channel := path.Base(r.URL.Path)
		for line := range strings.Lines(fields) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
			w.Header().Add(name, strings.ReplaceAll(value, "PATH", channel))
		}
		if !strings.Contains(fields, "Content-Type") {
			w.Header().Set("Content-Type", "text/plain")
		}
		body := strings.ReplaceAll(body, "PATH", channel)
		if status != 204 && status != 304 && w.Header().Get("Content-Length") == "" {
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

// echo answers with what was asked.
func echo(w http.ResponseWriter, r *http.Request, body []byte) {
	answer(200, "X-A: 1\nX-A: 2\nSet-Cookie: a=b\nSet-Cookie: c=d\n", fmt.Sprintf("%s %d %q\n", r.Method, len(body), body[:min(len(body), 100)]))(w, r, body)
}

// pieces answers in chunks.
func pieces(w http.ResponseWriter, _ *http.Request, _ []byte) {
	w.Header().Set("Content-Type", "text/plain")
	for i := range 3 {
		fmt.Fprintf(w, "piece %d\n", i)
		w.(http.Flusher).Flush()
	}
}
