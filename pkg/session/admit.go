package session

import (
	"bytes"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"holdfast/pkg/forwarded"
	"holdfast/pkg/http1"
	"holdfast/pkg/origin"
	"holdfast/pkg/stats"
)

// cors is what the answers to a request say about pages of other origins: corsNone, corsAny, or corsListed and the index of
// an origin in the list.
type cors uint8

const (
	corsNone cors = iota
	corsAny
	corsListed
)

// exposed are the fields of a poll's answer that a page of another origin may read.
const exposed = "Access-Control-Expose-Headers: " + lastIDName + ", " + gapName + "\r\nVary: Origin\r\n"

// corsFields returns the field lines for each value of cors. A page gets cookies through only where its origin was named
// (the Fetch standard does not let * have them).
func corsFields(rules *origin.Rules) []string {
	fields := []string{corsNone: "", corsAny: "Access-Control-Allow-Origin: *\r\n" + exposed}
	for _, o := range rules.List() {
		if o == "*" || o == "null" { // those pass as any other page, and are never the one that is named
			fields = append(fields, fields[corsAny])
			continue
		}
		fields = append(fields, "Access-Control-Allow-Origin: "+o+"\r\nAccess-Control-Allow-Credentials: true\r\n"+exposed)
	}
	return fields
}

// checkOrigin checks the Origin of the request in hand, if it has one, and notes what its answer says about that. When it
// reports false the request is answered.
func (c *Clients) checkOrigin(id uint32, cl *client) bool {
	value, n := c.origin()
	switch {
	case n == 0:
		return true
	case n > 1: // a browser sends one (RFC 6454 7.3), and we cannot know which of them counts
		c.answer(id, cl, 403, "more than one Origin", "Vary: Origin\r\n")
		return false
	}
	switch v := c.opts.Origins.Check(value, c.req.Host, c.t.Local(id).Addr().IsLoopback()); v.Kind {
	case origin.Same, origin.NoPage:
	case origin.Any:
		c.cors = corsAny
	case origin.Listed:
		c.cors = corsListed + cors(v.Index)
	default:
		c.answer(id, cl, 403, "this origin is not allowed: pushd --allow-origin names those that are", "Vary: Origin\r\n")
		return false
	}
	return true
}

// origin returns the last Origin field of the request in hand, and how many there are.
func (c *Clients) origin() (value []byte, n int) {
	for i := range c.req.Fields {
		if f := &c.req.Fields[i]; bytes.EqualFold(f.Name, originName) {
			value = f.Value
			n++
		}
	}
	return value, n
}

var originName = []byte("Origin")

// Addresses counts connections by the address of their client. All loops share it.
type Addresses interface {
	Enter(netip.Addr) bool // false: there are too many from there
	Leave(netip.Addr)
}

// peer is what is known of a connection's other end, where somebody has to know it.
type peer struct {
	source  [16]byte // as the PROXY protocol has it
	counted [16]byte // in Addresses
	flags   uint8
}

const (
	peerKnown     = 1 << iota // the record is in use
	peerProxied               // source is set
	peerCounted               // counted is set
	peerForwarded             // for the request in hand only: a proxy uses its connection for many clients
)

// admitAddress counts a new connection by its address. That of a trusted proxy is not counted: whom it speaks for comes later.
func (c *Clients) admitAddress(id uint32) bool {
	if c.opts.Addresses == nil {
		return true
	}
	addr := c.t.Peer(id).Addr()
	return c.trusted(addr) || c.count(id, addr)
}

// checkAddress counts the connection by the address of the client for whom a trusted proxy sends the request in hand.
func (c *Clients) checkAddress(id uint32, cl *client) bool {
	if c.opts.Addresses == nil || len(c.opts.Trusted) == 0 {
		return true
	}
	addr, forwarded := c.address(id)
	if !c.count(id, addr) {
		c.answer(id, cl, 429, tooManyFrom, retryField())
		return false
	}
	if forwarded {
		c.peerRecord(id).flags |= peerForwarded
	}
	return true
}

// answered ends the counting of a connection for the client of the request that is answered now.
func (c *Clients) answered(id uint32) {
	if p := c.peers.Find(id); p != nil && p.flags&peerForwarded != 0 {
		c.uncount(p)
	}
}

func (c *Clients) uncount(p *peer) {
	if p.flags&peerCounted != 0 {
		c.opts.Addresses.Leave(netip.AddrFrom16(p.counted).Unmap())
	}
	p.flags &^= peerCounted | peerForwarded
}

const tooManyFrom = "too many connections from your address"

// count counts the connection by addr, and by no other address any more.
func (c *Clients) count(id uint32, addr netip.Addr) bool {
	if !addr.IsValid() { // it has left already
		return true
	}
	p := c.peerRecord(id)
	now := addr.As16()
	if p.flags&peerCounted != 0 {
		if p.counted == now {
			return true
		}
		c.uncount(p)
	}
	if !c.opts.Addresses.Enter(netip.AddrFrom16(now).Unmap()) {
		return false
	}
	p.counted = now
	p.flags |= peerCounted
	return true
}

func (c *Clients) peerRecord(id uint32) *peer {
	if p := c.peers.Find(id); p != nil && p.flags != 0 {
		return p
	}
	p := c.peers.Put(id)
	p.flags = peerKnown
	return p
}

// dropPeer forgets what is known of the other end of a connection that is over.
func (c *Clients) dropPeer(id uint32) {
	p := c.peers.Find(id)
	if p == nil || p.flags == 0 {
		return
	}
	c.uncount(p)
	c.peers.Drop(id)
}

// address is that of the client from whom the request in hand comes: the peer, or whom a trusted proxy names, and then whether
// it names it for this request.
func (c *Clients) address(id uint32) (addr netip.Addr, forRequest bool) {
	addr = c.t.Peer(id).Addr()
	if p := c.peers.Find(id); p != nil && p.flags&peerProxied != 0 {
		addr = netip.AddrFrom16(p.source).Unmap()
	}
	if !c.trusted(addr) {
		return addr, false
	}
	c.forwardedFor = c.forwardedFor[:0]
	for _, f := range c.req.Fields {
		if bytes.EqualFold(f.Name, forwardedName) {
			c.forwardedFor = append(c.forwardedFor, f.Value)
		}
	}
	return forwarded.Client(addr, c.forwardedFor, c.opts.Trusted), true
}

var forwardedName = []byte("X-Forwarded-For")

// secure reports whether a trusted proxy says that the client's connection is encrypted.
func (c *Clients) secure(id uint32) bool {
	if len(c.opts.Trusted) == 0 || !c.trusted(c.t.Peer(id).Addr()) {
		return false
	}
	proto, _ := c.req.Field("X-Forwarded-Proto")
	return bytes.EqualFold(proto, https) || bytes.EqualFold(proto, wss)
}

var https, wss = []byte("https"), []byte("wss")

func (c *Clients) trusted(addr netip.Addr) bool {
	for _, p := range c.opts.Trusted {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// proxyHeader takes the PROXY protocol's header from the first bytes of a connection, if its peer is trusted. It returns the
// size of the header, and false when the connection has to wait for the rest of it or is over.
func (c *Clients) proxyHeader(id uint32, cl *client, b []byte) (n int, ok bool) {
	if len(c.opts.Trusted) == 0 || !c.trusted(c.t.Peer(id).Addr()) {
		return 0, true
	}
	n, source, err := forwarded.ParseProxy(b)
	switch {
	case err == nil:
	case errors.Is(err, forwarded.ErrShort):
		return 0, false
	case errors.Is(err, forwarded.ErrNone):
		return 0, true
	default:
		c.dismiss(id, 400, strings.TrimPrefix(err.Error(), "forwarded: "), "", stats.CloseBadRequest)
		return 0, false
	}
	cl.phase = reading
	if source.IsValid() {
		p := c.peerRecord(id)
		p.source = source.Addr().As16()
		p.flags |= peerProxied
	}
	return n, true
}

// explain says more about bytes that are no request, where pushd is likely to be set up wrong, and logs that.
func (c *Clients) explain(id uint32, b []byte, err error, text string) string {
	switch {
	case errors.Is(err, http1.ErrTLS):
		c.warn("a client speaks TLS to a plain HTTP listener", id)
	case bytes.HasPrefix(b, []byte("PROXY ")), bytes.HasPrefix(b, []byte("\r\n\r\n\x00")): // the v2 signature, as far as it is judged
		if c.trusted(c.t.Peer(id).Addr()) {
			c.warn("a trusted proxy sends more than one PROXY header", id)
			return "a connection begins with one PROXY header at most"
		}
		c.warn("a peer that --trusted-proxies does not name sends the PROXY protocol", id)
		return "the PROXY protocol is not taken from your address"
	}
	return text
}

// warnEvery is the time between two warnings of a loop.
const warnEvery = time.Second

// warn logs something about the connection's client, at most once a second.
func (c *Clients) warn(what string, id uint32, attrs ...any) {
	now := time.Now()
	if now.Sub(c.warned) < warnEvery {
		c.unsaid++
		return
	}
	attrs = append(attrs, slog.String("client", c.t.Peer(id).String()), slog.Int("warnings_left_out", c.unsaid))
	c.opts.Log.Warn(what, attrs...)
	c.warned, c.unsaid = now, 0
}
