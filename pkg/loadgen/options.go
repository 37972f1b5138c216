package loadgen

import (
	"fmt"
	"math"
	"net/netip"
	"net/url"
	"os/exec"
	"strings"
	"time"

	"holdfast/pkg/publish"
)

// Transport is how the subscribers are held.
type Transport string

// The transports.
const (
	Events Transport = "events" // Server-Sent Events: GET /events
	Stream Transport = "stream" // the raw stream: GET /stream
)

// Options is what Run may be told. NewOptions gives the defaults.
type Options struct {
	Targets     []netip.AddrPort // addresses of one pushd, in turns; loopback only
	Connections int
	Transport   Transport
	Channels    int     // connection i subscribes to channel i modulo Channels
	ConnectRate float64 // connections to open in a second; 0: as fast as they are answered

	Messages int     // to publish; message i goes to channel i modulo Channels
	Rate     float64 // messages in a second; 0: as fast as back-pressure lets
	Size     int     // bytes of a message's content

	Limit time.Duration // for everything; then it ends with what was measured

	// Worker returns a command that runs Work on its standard input and output. When it is nil the subscribers live in
	// this process, as many as the limit on open files allows.
	Worker func() *exec.Cmd
	// Progress is called a few times a second on the goroutine of Run. It may be nil.
	Progress func(Progress)
}

// Bounds of the options.
const (
	maxConnections = 4 << 20
	maxMessages    = math.MaxUint32
	maxSize        = 64 << 20
)

// NewOptions returns the defaults.
func NewOptions() Options {
	return Options{
		Connections: 1000,
		Transport:   Events,
		Channels:    1,
		Messages:    100,
		Rate:        10,
		Size:        100,
		Limit:       10 * time.Minute,
	}
}

// ParseTarget reads http://127.0.0.1:7999. Only addresses of 127.0.0.0/8, and localhost, are allowed: this is no tool to
// load other machines with.
func ParseTarget(s string) (netip.AddrPort, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Scheme != "http" || u.Host == "":
		return netip.AddrPort{}, fmt.Errorf("%q is not of the form http://127.0.0.1:7999", s)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "":
		return netip.AddrPort{}, fmt.Errorf("%q has more than a host and a port", s)
	case u.Port() == "":
		return netip.AddrPort{}, fmt.Errorf("%q has no port", s)
	}
	host := u.Hostname()
	if host == "localhost" {
		host = "127.0.0.1"
	}
	ap, err := netip.ParseAddrPort(host + ":" + u.Port())
	if err != nil || ap.Port() == 0 || !loopback(ap) {
		return netip.AddrPort{}, fmt.Errorf("%q is not a loopback address, 127.0.0.0/8, with a port", s)
	}
	return ap, nil
}

func loopback(ap netip.AddrPort) bool { return ap.Addr().Is4() && ap.Addr().IsLoopback() }

// Check reports the first option that cannot be. The error begins with the name of the option on the command line.
func (o *Options) Check() error {
	for _, t := range o.Targets {
		if !loopback(t) || t.Port() == 0 {
			return fmt.Errorf("target: %s is not a loopback address, 127.0.0.0/8, with a port", t)
		}
	}
	switch {
	case len(o.Targets) == 0:
		return fmt.Errorf("target: none is given")
	case o.Connections < 1 || o.Connections > maxConnections:
		return fmt.Errorf("connections: %d is not between 1 and %d", o.Connections, maxConnections)
	case o.Transport != Events && o.Transport != Stream:
		return fmt.Errorf("transport: %q is neither events nor stream", o.Transport)
	case o.Channels < 1 || o.Channels > o.Connections:
		return fmt.Errorf("channels: %d is not between 1 and the number of connections, %d", o.Channels, o.Connections)
	case !rate(o.ConnectRate):
		return fmt.Errorf("connect-rate: %v is not a number of connections a second", o.ConnectRate)
	case o.Messages < 0 || o.Messages > maxMessages:
		return fmt.Errorf("messages: %d is not between 0 and %d", o.Messages, maxMessages)
	case !rate(o.Rate):
		return fmt.Errorf("rate: %v is not a number of messages a second", o.Rate)
	case o.Size < o.minSize() || o.Size > maxSize:
		return fmt.Errorf("size: %d is not between %d, for stamp and number, and %d", o.Size, o.minSize(), maxSize)
	case o.Limit <= 0:
		return fmt.Errorf("max-time: %v is not a time to wait", o.Limit)
	}
	return nil
}

func rate(r float64) bool { return r >= 0 && !math.IsInf(r, 0) }

// On a stream a message is a whole event, as backends publish them: nothing else would part messages from keep-alives.
const (
	eventHead = "data: "
	eventTail = "\n\n"
)

// framing is the number of bytes of a message's content around its text.
func (t Transport) framing() int {
	if t == Stream {
		return len(eventHead) + len(eventTail)
	}
	return 0
}

func (o *Options) minSize() int { return markerLen + o.Transport.framing() }

// opening is what the body of a held response has sent when the hold stands.
func (t Transport) opening() string {
	if t == Stream {
		return "data: stream open\n\n"
	}
	return "\nretry: "
}

// query is what a request begins its parameters with. A pushd whose streams always have an
// opening takes no notice of it.
func (t Transport) query() string {
	if t == Stream {
		return "?opening=1&"
	}
	return "?"
}

// channel is the name of channel i.
func channel(i int) string { return string(appendChannel(nil, i)) }

func appendChannel(dst []byte, i int) []byte { return fmt.Appendf(dst, "bench-%04d", i+1) }

// fill gives it the content of message n, stamped at. text is scratch, which is returned.
func (o *Options) fill(it *publish.Item, text []byte, at time.Time, n uint32) []byte {
	if o.Transport == Events {
		text = appendText(text[:0], o.Size, at, n)
		it.Formats, it.Event.Data = publish.SSE, string(text)
		return text
	}
	text = appendText(append(text[:0], eventHead...), o.textSize(), at, n)
	text = append(text, eventTail...)
	it.Formats, it.Stream.Content = publish.HTTPStream, string(text)
	return text
}

// textSize is the number of bytes of a message's text: the data of the event as a client sees it.
func (o *Options) textSize() int { return o.Size - o.Transport.framing() }

// appendText appends a text of size bytes that begins with its marker.
func appendText(dst []byte, size int, at time.Time, n uint32) []byte {
	end := len(dst) + size
	for dst = appendMarker(dst, at, n); len(dst) < end; {
		dst = append(dst, filler[:min(len(filler), end-len(dst))]...)
	}
	return dst
}

// filler is what follows the marker in a text. It holds no byte that a marker begins with.
const filler = "the quick brown fox jumps over the lazy dog; "
