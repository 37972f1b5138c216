package proxy

import (
	"context"
	"crypto/tls"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"holdfast/pkg/route"
)

const (
	idleTimeout  = 55 * time.Second // Pushpin's
	tlsSessions  = 64               // remembered for each TLS configuration
	tcpKeepAlive = 30 * time.Second
	socketPeriod = 50 * time.Millisecond // between looks for idle connections that can make room
)

// transportKey tells apart the targets that must not share connections. Plain ones of either trust share a Transport, which
// pools by address; those with TLS have one each, which pools by the name that the certificate was checked for.
type transportKey struct {
	untrusted, anew                 bool
	addr, certificate, key          string
	tls, insecure, trustConnectHost bool
}

func keyOf(t *route.Target, anew bool) transportKey {
	if !t.TLS {
		return transportKey{untrusted: t.Untrusted, anew: anew}
	}
	return transportKey{
		untrusted: t.Untrusted, anew: anew, tls: true, addr: t.Addr, insecure: t.Insecure, trustConnectHost: t.TrustConnectHost,
		certificate: t.ClientCert, key: t.ClientKey,
	}
}

// transport returns the Transport for a target: the one that keeps connections, or the one that makes a new one for each request.
func (p *Proxy) transport(t *route.Target, anew bool) *http.Transport {
	k := keyOf(t, anew)
	p.mu.Lock()
	defer p.mu.Unlock()
	tr := p.transports[k]
	if tr == nil {
		tr = p.newTransport(k)
		p.transports[k] = tr
	}
	return tr
}

func (p *Proxy) newTransport(k transportKey) *http.Transport {
	d := &dialer{p: p, key: k, net: net.Dialer{Timeout: p.opt.ConnectTimeout, KeepAlive: tcpKeepAlive}}
	if k.untrusted {
		d.net.Control = control
	}
	tr := &http.Transport{
		DialContext:            d.dial,
		DisableCompression:     true,
		MaxIdleConns:           p.opt.MaxIdle,
		MaxIdleConnsPerHost:    p.opt.MaxIdle,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: int64(p.opt.MaxResponseHead),
	}
	if k.anew {
		tr.MaxIdleConnsPerHost = -1 // none; unlike DisableKeepAlives it does not show in the request
	}
	if k.tls {
		d.tls = p.tlsConfig(k)
		tr.DialTLSContext = d.dialTLS
	}
	return tr
}

func (p *Proxy) tlsConfig(k transportKey) *tls.Config {
	c := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		RootCAs:            p.opt.RootCAs,
		InsecureSkipVerify: k.insecure, // the route's own parameter
		ClientSessionCache: tls.NewLRUClientSessionCache(tlsSessions),
		NextProtos:         []string{"http/1.1"},
	}
	if k.certificate != "" {
		certificate, key := beside(p.opt.Dir, k.certificate), beside(p.opt.Dir, k.key)
		// Read for each handshake, so that a renewed one is used.
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(certificate, key)
			return &pair, err
		}
	}
	return c
}

// dialer makes the connections of a Transport.
type dialer struct {
	p   *Proxy
	key transportKey
	net net.Dialer
	tls *tls.Config
}

func (d *dialer) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	nc, err := d.connect(ctx, addr)
	if err != nil {
		return nil, err
	}
	return d.p.track(nc), nil
}

// attemptKey finds the attempt in the context of a dial.
type attemptKey struct{}

// connect takes one of the sockets that there are. It ends with its attempt and with the proxy: net/http lets a dial go on that nobody
// waits for any more.
func (d *dialer) connect(ctx context.Context, addr string) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(d.p.ctx, cancel)()
	if a, ok := ctx.Value(attemptKey{}).(*attempt); ok {
		defer context.AfterFunc(a.ctx, cancel)()
	}
	if err := d.p.takeSocket(ctx); err != nil {
		return nil, &dialError{err}
	}
	nc, err := d.net.DialContext(ctx, "tcp", addr)
	if err != nil {
		d.p.freeSocket()
		return nil, &dialError{err}
	}
	return nc, nil
}

// takeSocket waits until there are fewer sockets than there may be. Idle ones make room.
func (p *Proxy) takeSocket(ctx context.Context) error {
	select {
	case p.sockets <- struct{}{}:
		return nil
	default:
	}
	again := time.NewTicker(socketPeriod) // one that becomes idle meanwhile does not tell
	defer again.Stop()
	for {
		p.closeIdle()
		select {
		case p.sockets <- struct{}{}:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-again.C:
		}
	}
}

func (p *Proxy) freeSocket() { <-p.sockets }

// closeIdle closes all idle connections, if that was not done a moment ago for another that waits.
func (p *Proxy) closeIdle() {
	p.mu.Lock()
	now := time.Now()
	if now.Sub(p.idleClosed) < socketPeriod/2 {
		p.mu.Unlock()
		return
	}
	p.idleClosed = now
	all := slices.Collect(maps.Values(p.transports))
	p.mu.Unlock()
	for _, tr := range all {
		tr.CloseIdleConnections()
	}
}

// dialTLS connects to the target. The host of addr is the name that the certificate has to be for.
func (d *dialer) dialTLS(ctx context.Context, _, addr string) (net.Conn, error) {
	nc, err := d.connect(ctx, d.key.addr)
	if err != nil {
		return nil, err
	}
	tc, err := d.handshake(ctx, nc, addr)
	if err != nil {
		_ = nc.Close()
		d.p.freeSocket()
		return nil, &tlsError{err}
	}
	return d.p.track(tc), nil
}

func (d *dialer) handshake(ctx context.Context, nc net.Conn, addr string) (*tls.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.p.opt.ConnectTimeout)
	defer cancel()
	defer context.AfterFunc(d.p.ctx, cancel)()
	config := d.tls.Clone()
	name, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	config.ServerName = name
	tc := tls.Client(nc, config)
	return tc, tc.HandshakeContext(ctx)
}

// conn is a connection to a backend that ends its user's request body when it is closed. When a connection breaks, net/http
// closes it and then waits for its own goroutine, which may be waiting for the client. The end is io.EOF, because any error would
// stand in the place of what net/http knows; nothing can be written any more that would look complete.
type conn struct {
	net.Conn
	p        *Proxy
	closed   atomic.Bool
	user     atomic.Pointer[attempt]
	written  atomic.Bool      // something of its user's request
	answered atomic.Bool      // with a byte at least
	strip    identityStripper // of the goroutine that reads
}

// Write notes that something was written. With TLS that is whole records: a piece of one tells the backend nothing.
func (c *conn) Write(b []byte) (n int, err error) {
	n, err = c.Conn.Write(b)
	if n > 0 {
		c.written.Store(true)
	}
	return n, err
}

// Read notes that something was read, and strips the heads of responses.
func (c *conn) Read(b []byte) (n int, err error) {
	for {
		if kept := c.strip.kept; len(kept) >= len(b) && len(b) > 0 { // no room to see more of the line
			n = copy(b, kept)
			c.strip.kept, c.strip.midLine = kept[:copy(kept, kept[n:])], true
			return n, nil
		}
		kept := copy(b, c.strip.kept)
		n, err = c.Conn.Read(b[kept:])
		if n > 0 && !c.answered.Swap(true) {
			c.strip.begin()
		}
		if !c.strip.inHead {
			return n, err
		}
		c.strip.kept = c.strip.kept[:0]
		if b := c.strip.strip(b[:kept+n], err != nil); len(b) > 0 || err != nil {
			return len(b), err
		}
	}
}

func (p *Proxy) track(nc net.Conn) *conn {
	p.stats.Connections.Add(1)
	return &conn{Conn: nc, p: p}
}

// Close closes the connection.
func (c *conn) Close() error {
	err := c.Conn.Close()
	if c.closed.CompareAndSwap(false, true) {
		c.p.stats.Connections.Add(-1)
		c.p.freeSocket()
		if a := c.user.Load(); a != nil {
			a.stopBody(io.EOF)
		}
	}
	return err
}

// control is called with the address that a connection is about to be made to.
func control(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil || denied(ap.Addr()) {
		return errBlocked
	}
	return nil
}

// deniedNets are networks that no untrusted target may be in, besides those that netip knows.
var deniedNets = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),      // this host
	netip.MustParsePrefix("100.64.0.0/10"),  // shared by a provider's customers (RFC 6598)
	netip.MustParsePrefix("192.0.0.0/24"),   // protocol assignments (RFC 6890)
	netip.MustParsePrefix("198.18.0.0/15"),  // benchmarks (RFC 2544)
	netip.MustParsePrefix("240.0.0.0/4"),    // reserved, with the broadcast address
	netip.MustParsePrefix("64:ff9b::/96"),   // IPv4 behind NAT64 (RFC 6052)
	netip.MustParsePrefix("64:ff9b:1::/48"), // the same (RFC 8215)
	netip.MustParsePrefix("2001::/32"),      // Teredo
	netip.MustParsePrefix("2002::/16"),      // 6to4
}

// denied reports whether an untrusted target may not be at the address. To Pushpin's list it adds what else leads to this host
// or into its network.
func denied(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified() {
		return true
	}
	for _, n := range deniedNets {
		if n.Contains(a) {
			return true
		}
	}
	return false
}
