// Package proxies holds no code, only the test of the reverse proxy configurations that docs/operations.md shows: each is
// taken from the page as it stands there, and run in front of a pushd.
package proxies

import (
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

const (
	// keepAlive is pushd's, and timeout the proxy's, in place of 55 and 310 s.
	keepAlive = 500 * time.Millisecond
	timeout   = 2 * time.Second

	maxDelay = time.Second      // from pushpub's start to the client
	patience = 10 * time.Second // with what has no bound of its own
)

var (
	page = flag.String("page", "../../docs/operations.md", "`file` with the configurations")
	bin  = flag.String("bin", "", "`directory` of our binaries; they are built when it is not given")
)

// proxies are the configurations, by the comment that opens them.
var proxies = []*proxy{
	{
		program: "nginx", file: "nginx.conf", fields: nginxFields,
		timeouts: []string{"proxy_read_timeout 310s"},
		command: func(dir, conf string) []string {
			return []string{"-p", dir, "-c", conf, "-e", filepath.Join(dir, "error.log"), "-g", "daemon off; pid nginx.pid;"}
		},
	},
	{
		program: "caddy", file: "Caddyfile", fields: caddyFields,
		command: func(_, conf string) []string {
			return []string{"run", "--adapter", "caddyfile", "--config", conf}
		},
	},
	{
		program: "haproxy", file: "haproxy.cfg", fields: haproxyFields,
		timeouts: []string{"timeout client  310s", "timeout server  310s", "timeout tunnel  310s"},
		command: func(_, conf string) []string {
			return []string{"-db", "-f", conf}
		},
	},
}

func TestMain(m *testing.M) {
	flag.Parse()
	for _, e := range os.Environ() { // what the tester has set is not part of the test
		if name, _, _ := strings.Cut(e, "="); strings.HasPrefix(name, "PUSHD_") {
			os.Unsetenv(name)
		}
	}
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	if *bin != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "proxies")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	build := exec.Command("go", "build", "-o", dir+"/", "holdfast/cmd/pushd", "holdfast/cmd/pushpub", "holdfast/cmd/pushstat")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		return 1
	}
	*bin = dir
	return m.Run()
}

// forEach runs test once for each proxy that is installed.
func forEach(t *testing.T, test func(t *testing.T, p *proxy)) {
	forSome(t, test, func(*proxy) bool { return true })
}

// forHAProxy runs test if haproxy is installed.
func forHAProxy(t *testing.T, test func(t *testing.T, p *proxy)) {
	forSome(t, test, func(p *proxy) bool { return p.program == "haproxy" })
}

func forSome(t *testing.T, test func(t *testing.T, p *proxy), wanted func(*proxy) bool) {
	for _, p := range proxies {
		if !wanted(p) {
			continue
		}
		t.Run(p.program, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(p.program); err != nil {
				t.Skipf("%s is not installed, its configuration is not tried: %v", p.program, err)
			}
			test(t, p)
		})
	}
}

func TestMessagesArriveAtOnce(t *testing.T) {
	forEach(t, func(t *testing.T, p *proxy) {
		d := startPushd(t)
		front := p.start(t, d.addrs, nil)
		clients := front.openAll(t, "a")
		d.awaitHeld(t, len(clients))
		for _, text := range []string{"first", "second"} {
			published := time.Now()
			d.publish(t, "a", text)
			for _, c := range clients {
				if c.form == "poll" && text != "first" {
					continue // answered, and gone
				}
				c.await(t, text)
				if took := time.Since(published); took > maxDelay {
					t.Errorf("%s: %q took %v", c, text, took)
				}
			}
		}
	})
}

// Without option http-no-delay haproxy holds each small message back for 200 ms, where it does no TLS.
func TestHAProxyHoldsNothingBack(t *testing.T) {
	forHAProxy(t, func(t *testing.T, p *proxy) {
		d := startPushd(t)
		front := p.start(t, d.addrs, func(conf string) string {
			return regexp.MustCompile(` ssl crt \S+ alpn \S+`).ReplaceAllString(conf, "")
		})
		front.plain = true
		c := front.open(t, "stream", "a", "http/1.1")
		d.awaitHeld(t, 1)
		fastest := time.Hour
		for _, text := range []string{"one", "two", "three"} {
			published := time.Now()
			d.publish(t, "a", text)
			c.await(t, text)
			fastest = min(fastest, time.Since(published))
		}
		if fastest > 150*time.Millisecond {
			t.Errorf("the fastest of three messages took %v", fastest)
		}
	})
}

func TestPushdSeesClientsLeave(t *testing.T) {
	forEach(t, func(t *testing.T, p *proxy) {
		d := startPushd(t, "--stream-keep-alive", "1m", "--ws-ping", "1m") // no write that would find them gone
		front := p.start(t, d.addrs, nil)
		clients := front.openAll(t, "a")
		d.awaitHeld(t, len(clients))
		for _, c := range clients {
			c.leave()
		}
		d.awaitHeld(t, 0)
	})
}

func TestQuietStreamsOutliveTheTimeout(t *testing.T) {
	forEach(t, func(t *testing.T, p *proxy) {
		d := startPushd(t)
		front := p.start(t, d.addrs, p.lowered(t))
		clients := front.openStreams(t, "a")
		d.awaitHeld(t, len(clients))
		time.Sleep(timeout + timeout/2)
		d.publish(t, "a", "still here")
		for _, c := range clients {
			c.await(t, "still here")
		}
	})
}

// That the timeout which the test above lowers is the one that matters.
func TestSilenceOverTheTimeoutEndsStreams(t *testing.T) {
	forEach(t, func(t *testing.T, p *proxy) {
		if p.timeouts == nil {
			t.Skipf("%s ends no quiet stream by itself", p.program)
		}
		d := startPushd(t, "--stream-keep-alive", "1m", "--ws-ping", "1m")
		front := p.start(t, d.addrs, p.lowered(t))
		clients := front.openStreams(t, "a")
		d.awaitHeld(t, len(clients))
		for _, c := range clients {
			c.awaitEnd(t, timeout+patience)
		}
		d.awaitHeld(t, 0)
	})
}

// Pushd ends its connections in order, and so should the proxy end those of its clients.
func TestClientsAreToldThatPushdEnds(t *testing.T) {
	forEach(t, func(t *testing.T, p *proxy) {
		d := startPushd(t, "--drain-timeout", "100ms")
		front := p.start(t, d.addrs, nil)
		clients := front.openAll(t, "a")
		d.awaitHeld(t, len(clients))
		d.stop()
		for _, c := range clients {
			c.awaitEnd(t, patience)
			if err := c.failure(); err != nil {
				t.Errorf("%s: %v", c, err)
			}
		}
	})
}

// What the proxy tells pushd about a request, seen by a server in pushd's place.
func TestFieldsOfForwardedRequests(t *testing.T) {
	forEach(t, func(t *testing.T, p *proxy) {
		requests := make(chan *http.Request, 1)
		s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { requests <- r }))
		defer s.Close()
		front := p.start(t, []string{s.Listener.Addr().String()}, nil)
		front.source = net.ParseIP("127.0.0.2")
		for _, proto := range []string{"http/1.1", "h2"} {
			req, err := http.NewRequest("GET", front.url("/events?channel=a"), nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header["X-Forwarded-For"] = []string{"192.0.2.1", "192.0.2.2"}
			res, err := front.client(proto).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			got := <-requests
			if f := got.Header["X-Forwarded-For"]; len(f) != 1 || f[0] != "127.0.0.2" {
				t.Errorf("%s: X-Forwarded-For %q, want the client's address alone", proto, f)
			}
			if got.Host != front.host {
				t.Errorf("%s: Host %q, want %q, or no Origin matches", proto, got.Host, front.host)
			}
			if got.Proto != "HTTP/1.1" || got.Close {
				t.Errorf("%s: %s, close %v; want HTTP/1.1 on a connection that stays", proto, got.Proto, got.Close)
			}
			if u := got.Header["Upgrade"]; len(u) != 0 {
				t.Errorf("%s: Upgrade %q", proto, u)
			}
		}
	})
}

func TestPushdSeesTheClientsAddress(t *testing.T) {
	forEach(t, func(t *testing.T, p *proxy) {
		seesAddress(t, p, nil)
	})
}

func TestPushdSeesTheClientsAddressByProxyProtocol(t *testing.T) {
	forHAProxy(t, func(t *testing.T, p *proxy) {
		for _, option := range []string{"send-proxy", "send-proxy-v2"} {
			seesAddress(t, p, func(conf string) string {
				conf = replace(t, conf, "    http-request set-header X-Forwarded-For %[src]\n", "")
				return replace(t, conf, "\nbackend pushd\n", "\nbackend pushd\n    default-server "+option+"\n")
			})
		}
	})
}

// seesAddress lets one connection of each address in, and sees pushd take the clients' addresses for that, not the proxy's.
func seesAddress(t *testing.T, p *proxy, edit func(conf string) string) {
	t.Helper()
	d := startPushd(t, "--max-per-address", "1")
	front := p.start(t, d.addrs, edit)
	for i, source := range []string{"127.0.0.2", "127.0.0.3"} {
		front.source = net.ParseIP(source)
		front.open(t, "events", "a", "h2")
		d.awaitHeld(t, i+1)
	}
	again := front.open(t, "events", "a", "h2")
	again.awaitEnd(t, patience)
	if err := again.failure(); err == nil || !strings.Contains(err.Error(), "429") {
		t.Errorf("a second client of an address: %v, want status 429", err)
	}
}

// freeAddr returns an address on which nobody listens, for a proxy that is about to.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
