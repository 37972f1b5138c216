package proxies

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

const site = "push.example.org" // as the page calls it

// proxy is a program that forwards to pushd, and how to run it with the page's configuration.
type proxy struct {
	program  string
	file     string   // the name in the comment that opens its configuration
	timeouts []string // the places of its timeouts, which end a quiet stream
	fields   func(t *testing.T, conf string, e *endpoint) string
	command  func(dir, conf string) []string
}

// endpoint is what a configuration needs in a test: where to listen, and files that are there.
type endpoint struct {
	dir, addr      string
	cert, key, pem string
}

func nginxFields(t *testing.T, conf string, e *endpoint) string {
	conf = replace(t, conf, "listen 443 ssl", "listen "+e.addr+" ssl")
	conf = replace(t, conf, "/etc/ssl/push.example.org.crt", e.cert)
	conf = replace(t, conf, "/etc/ssl/push.example.org.key", e.key)
	conf = replace(t, conf, "worker_processes auto", "worker_processes 1")
	conf = replace(t, conf, "worker_rlimit_nofile 262144", "worker_rlimit_nofile 1024")
	conf = replace(t, conf, "worker_connections 131072", "worker_connections 512")
	own := "http {\n    access_log off;\n"
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} { // the built-in places are root's
		own += fmt.Sprintf("    %s_temp_path %s;\n", kind, filepath.Join(e.dir, kind))
	}
	return replace(t, conf, "http {\n", own)
}

func caddyFields(t *testing.T, conf string, e *endpoint) string {
	host, port, err := net.SplitHostPort(e.addr)
	if err != nil {
		t.Fatal(err)
	}
	conf = replace(t, conf, site+" {\n", fmt.Sprintf("%s:%s {\n\tbind %s\n\ttls %s %s\n", site, port, host, e.cert, e.key))
	return "{\n\tadmin off\n\tauto_https disable_redirects\n}\n" + conf
}

func haproxyFields(t *testing.T, conf string, e *endpoint) string {
	conf = replace(t, conf, "bind :443 ssl", "bind "+e.addr+" ssl")
	conf = replace(t, conf, "/etc/haproxy/push.example.org.pem", e.pem)
	return replace(t, conf, "maxconn 100000", "maxconn 100")
}

// replace puts something else in the place of old, which must be there once.
func replace(t *testing.T, conf, old, by string) string {
	t.Helper()
	if n := strings.Count(conf, old); n != 1 {
		t.Fatalf("%q stands %d times in the configuration, want once:\n%s", old, n, conf)
	}
	return strings.Replace(conf, old, by, 1)
}

// lowered edits the proxy's timeouts down to one that a test can wait for.
func (p *proxy) lowered(t *testing.T) func(string) string {
	return func(conf string) string {
		for _, place := range p.timeouts {
			conf = replace(t, conf, place, strings.Replace(place, "310s", fmt.Sprintf("%.0fs", timeout.Seconds()), 1))
		}
		return conf
	}
}

// snippet is the fenced block of the page that opens with the comment "# name".
func snippet(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(*page)
	if err != nil {
		t.Fatal(err)
	}
	fenced := regexp.MustCompile("(?ms)^```\\w*\n(# " + regexp.QuoteMeta(name) + "\n.*?)^```$")
	found := fenced.FindAllSubmatch(text, -1)
	if len(found) != 1 {
		t.Fatalf("%s has %d fenced blocks that open with \"# %s\", want 1", *page, len(found), name)
	}
	return string(found[0][1])
}

var upstream = regexp.MustCompile(`127\.0\.0\.1:800\d`)

// start runs the proxy with the page's configuration, changed by edit unless that is nil, in front of backends.
func (p *proxy) start(t *testing.T, backends []string, edit func(conf string) string) *front {
	t.Helper()
	dir := t.TempDir()
	e := &endpoint{dir: dir, addr: freeAddr(t)}
	roots := e.writeCertificate(t)
	conf := p.fields(t, snippet(t, p.file), e)
	n := 0
	conf = upstream.ReplaceAllStringFunc(conf, func(string) string {
		n++
		return backends[(n-1)%len(backends)]
	})
	if n < 2 {
		t.Fatalf("%d upstream addresses in the configuration, want several:\n%s", n, conf)
	}
	if edit != nil {
		conf = edit(conf)
	}
	file := filepath.Join(dir, p.file)
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	output := new(bytes.Buffer)
	cmd := exec.Command(p.program, p.command(dir, file)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, output, output
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	t.Cleanup(func() { // when it has ended
		if t.Failed() {
			t.Logf("%s said:\n%s", p.program, output)
		}
	})
	ended := run(t, cmd, syscall.SIGTERM)
	awaitListener(t, e.addr, ended)
	_, port, _ := net.SplitHostPort(e.addr)
	return &front{addr: e.addr, host: net.JoinHostPort(site, port), roots: roots}
}

// run starts cmd and has the end of the test stop it. The channel is closed when it has ended.
func run(t *testing.T, cmd *exec.Cmd, stop os.Signal) (ended chan struct{}) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended = make(chan struct{})
	go func() {
		cmd.Wait() //nolint:errcheck // how it ended is in its output
		close(ended)
	}()
	t.Cleanup(func() {
		cmd.Process.Signal(stop)
		select {
		case <-ended:
		case <-time.After(patience):
			t.Errorf("%s does not stop", cmd.Path)
			cmd.Process.Kill()
			<-ended
		}
	})
	return ended
}

func awaitListener(t *testing.T, addr string, ended chan struct{}) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		select {
		case <-ended:
			t.Fatal("it ended at once")
		default:
		}
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return
		}
	}
	t.Fatalf("nobody listens on %s", addr)
}

// writeCertificate makes a certificate of the site that is good for an hour, and returns who trusts it.
func (e *endpoint) writeCertificate(t *testing.T) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{site},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
	write := func(name string, text []byte) string {
		path := filepath.Join(e.dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	e.cert, e.key, e.pem = write("site.crt", certPEM), write("site.key", keyPEM), write("site.pem", append(certPEM, keyPEM...))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certPEM)
	return pool
}
