package proxy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"holdfast/pkg/route"
)

// secure starts a backend whose certificate is for example.com and 127.0.0.1. It says what the handshake was.
func secure(t *testing.T) (addr string, roots *x509.CertPool) {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "%s %q %d", r.Host, r.TLS.ServerName, len(r.TLS.PeerCertificates))
	}))
	s.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // of the handshakes that are to fail
	s.StartTLS()
	t.Cleanup(s.Close)
	roots = x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return s.Listener.Addr().String(), roots
}

func TestTLS(t *testing.T) {
	addr, roots := secure(t)
	dir := t.TempDir()
	writeCertificate(t, dir)
	p := newProxy(t, Options{RootCAs: roots, Dir: dir})
	strange := newProxy(t, Options{})
	for _, test := range []struct {
		name   string
		proxy  *Proxy
		change func(r *route.Target)
		want   string
	}{
		{"host=", p, func(tg *route.Target) { tg.AsHost = "Example.com:443" }, `Example.com:443 "example.com" 0`},
		// A connection for example.com is idle now. It proves nothing about front.example.
		{"the client's host", p, func(*route.Target) {}, generic},
		{"trust_connect_host", p, func(tg *route.Target) { tg.TrustConnectHost = true }, `front.example "" 0`},
		{"insecure", p, func(tg *route.Target) { tg.Insecure = true }, `front.example "front.example" 0`},
		{"unknown authority", strange, func(tg *route.Target) { tg.AsHost = "example.com" }, generic},
		{"insecure with an unknown authority", strange, func(tg *route.Target) { tg.Insecure = true }, `front.example "front.example" 0`},
		{"client_cert", p, func(tg *route.Target) { tg.AsHost, tg.ClientCert, tg.ClientKey = "example.com", "cert", "key" }, `example.com "example.com" 1`},
		{"a missing client_cert", p, func(tg *route.Target) { tg.AsHost, tg.ClientCert, tg.ClientKey = "example.com", "none", "key" }, generic},
	} {
		r := routeTo(addr)
		r.Targets[0].TLS = true
		test.change(&r.Targets[0])
		before := test.proxy.stats.Errors(CauseTLS)
		c := do(t, test.proxy, r, get("/"), "")
		failed := test.proxy.stats.Errors(CauseTLS) > before
		if string(c.body) != test.want || failed != (test.want == generic) {
			t.Errorf("%s: %v, TLS error = %v, want %q", test.name, c, failed, test.want)
		}
	}
}

func TestTLSHandshakeHasATimeLimit(t *testing.T) {
	p := newProxy(t, Options{ConnectTimeout: 50 * time.Millisecond})
	silent := raw(t, func(nc net.Conn, _ int) { _, _ = io.Copy(io.Discard, nc) })
	r := routeTo(silent)
	r.Targets[0].TLS = true
	if c := do(t, p, r, get("/"), ""); c.head.Status != 502 || p.stats.Errors(CauseTLS) != 1 {
		t.Errorf("answer = %v, errors for tls = %d", c, p.stats.Errors(CauseTLS))
	}
}

func writeCertificate(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert": {Type: "CERTIFICATE", Bytes: cert}, "key": {Type: "PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
