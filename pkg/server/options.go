package server

import (
	"cmp"
	"log/slog"
	"math"
	"net/netip"
	"os"
	"runtime"
	"syscall"
	"time"

	"holdfast/pkg/exchange"
	"holdfast/pkg/grip"
	"holdfast/pkg/hub"
	"holdfast/pkg/origin"
	"holdfast/pkg/stats"
	"holdfast/pkg/token"
)

// Overflow says what happens to a client whose queue is full.
type Overflow string

// The overflow rules.
const (
	OverflowClose Overflow = "close" // close the slow client, which then reconnects and knows that it missed something
	OverflowDrop  Overflow = "drop"  // keep the client and leave out the item, counted
)

// Manager is a service manager that wants to know when pushd is ready and when it stops.
type Manager interface {
	Notify(state string) error // state is as sd_notify(3) has it
}

// Options is everything that pushd can be told. NewOptions gives the defaults; cmd/pushd fills in flags, environment
// and file; Run takes it as it is.
type Options struct {
	Listen          []string      // client listeners, HOST:PORT, port ranges already expanded
	Socket          string        // path of the control socket, already resolved
	SocketMode      os.FileMode   // permission bits of the control socket
	SocketGroup     string        // group that owns the control socket; "" leaves it
	PublishListen   string        // HOST:PORT of the HTTP publish endpoint; "" means off
	Loops           int           // event loops
	MaxConnections  int           // client connections at the same time
	MaxHeader       int           // bytes of a request head
	HeaderTimeout   time.Duration // for the whole head
	IdleTimeout     time.Duration // between requests
	StreamKeepAlive time.Duration // between writes on a held stream
	StreamOpening   bool          // raw streams begin with an event, if the request says nothing
	WSPing          time.Duration // between writes on a WebSocket
	WSProtocols     []string      // subprotocols, the preferred one first; empty: any
	MaxQueued       int           // bytes queued for one connection
	QueueMemory     int64         // bytes queued for all connections
	HoldMemory      int64         // bytes of all requests that backends hold for a response
	Overflow        Overflow
	MaxMessage      int           // bytes of one message: an item's content, later a client's WebSocket message
	MaxFrame        int           // bytes of one frame on the control socket
	DrainTimeout    time.Duration // over which shutdown spreads the ends of streams
	ReusePort       bool          // share the listeners' ports with another pushd

	MaxSubscriptions int            // channels of one connection
	MaxChannels      int            // channels with subscribers; 0: no limit
	MaxPerAddress    int            // connections from one client address; 0: no limit
	AcceptRate       int            // connections accepted in a second; 0: no limit
	TrustedProxies   []netip.Prefix // peers that may name the client's address

	AllowOrigin *origin.Rules // pages that may use pushd
	TokenKey    *token.Key    // checks the tokens that clients need; nil: they need none
	TokenCookie string        // name of the cookie that may hold a token
	TokenGrace  time.Duration // for clocks that differ, and for connections whose token has expired

	PublishToken string   // that HTTP publishers have to show; "": none
	PublishHosts []string // further names of the publish endpoint in Host

	Routes             string            // path of the routes file; "": channels are served directly
	SkipUnserved       bool              // routes with parameters that are not served are left out, and do not stop the start
	BackendTimeout     time.Duration     // in which a backend has to go on with a request or its answer
	BackendConcurrency int               // requests of one route that are at its backends at the same time
	Backends           BackendOptions    // what else there is to say about backends
	SigKey             *grip.SigKey      // signs what backends get; nil: nothing does, but for routes with a key of their own
	IDCacheTTL         time.Duration     // for which an item's id is remembered, and not delivered again; 0: never
	SigIssuer          string            // in these signatures
	UpstreamKey        *grip.UpstreamKey // of GRIP proxies in front of this one; nil: none is trusted
	Reload             <-chan struct{}   `json:"-"` // has the routes file read again; nil: only its changes do

	History       []hub.HistoryRule // which channels keep what was published
	HistoryMemory int64             // bytes of what all channels keep

	MetricsListen  string        // HOST:PORT of the metrics endpoint; "" means off
	Statsd         string        // HOST:PORT of a statsd that is sent to; "" means none
	StatsdInterval time.Duration // between two times
	StatsdPrefix   string        // of all names

	// Sockets that a service manager has opened, in place of Listen, Socket, PublishListen and MetricsListen.
	ListenFiles []*os.File
	SocketFile  *os.File // nil: none was handed over
	PublishFile *os.File // nil: none was handed over
	MetricsFile *os.File // nil: none was handed over

	Manager Manager // is told how pushd is; nil: there is none

	Log *slog.Logger

	// What another pushd has detached: see sockets.
	socketLock *os.File   // of SocketFile, which is a service manager's without it
	ownFiles   []*os.File // client listeners

	beatEvery time.Duration // between two looks at the loops, for tests; 0 is the usual
}

func (o *Options) beat() time.Duration { return cmp.Or(o.beatEvery, beatEvery) }

// SpareFiles is the number of file descriptors kept back from client connections: 512 for the
// control socket's clients (128), those of the publish endpoint (256) and of the metrics endpoint
// (32), clients that are being refused (64) and pushd's own files, and what more than the usual
// number of loops and addresses takes.
func SpareFiles(loops, addresses int) int {
	const clients, perLoop, usual = 512, 6, 32
	return clients + max(0, loops*(perLoop+addresses)-usual)
}

// BackendOptions is how pushd treats backends, and what it tells them of clients.
type BackendOptions struct {
	Connections    int           // in use for all routes together
	Idle           int           // kept for later
	Open           int           // answers that go on after their head has passed, of all routes together
	ConnectTimeout time.Duration // for a connection, and for its TLS handshake
	WaitingMemory  int64         // bytes of the requests that wait for their turn
	MaxHead        int           // bytes of the head of an answer
	MaxHoldBody    int           // bytes of the body of a request that is held, and of a response with instructions
	MaxFilters     int           // that a response may name for a channel

	Debug       bool   // error answers say the cause, for all routes
	AutoCORS    bool   // the fields of CORS that backends leave out are added, for all routes
	AcceptRoute bool   // Pushpin-Route of a request names its route
	CDNLoop     string // token that is added to CDN-Loop; "" for none

	Proto      grip.ForwardedProto // what becomes of X-Forwarded-Proto
	For        grip.ForwardedFor   // what becomes of X-Forwarded-For
	ForTrusted grip.ForwardedFor   // for clients that UpstreamKey trusts
}

// BackendConnections is how many connections to backends may be in use when nothing else is said: as many as two routes whose backends
// hang can have, but not more than a quarter of the open files.
func BackendConnections(concurrency int) int { return max(2, min(2*concurrency, FileLimit()/4)) }

// Files is the number of file descriptors kept back for connections to backends. There are never more.
func (o BackendOptions) Files() int { return o.Connections + o.Idle + o.Open }

// backendOpen is how many answers of backends may be open when nothing else is said: they take at
// most an eighth of the open files, and about 32 KiB each of an eighth of the memory.
func backendOpen() int { return max(2, min(10_000, FileLimit()/8, int(memoryShare("/")>>15))) }

// MetricsFiles is the number of file descriptors kept back where there is a metrics endpoint: its clients and itself.
const MetricsFiles = maxMetricsClients + 1

// MaxLoops is the largest number of event loops.
const MaxLoops = hub.MaxLoops

// cpus is the number of processors this process may use: affinity and the quota of its control group count. It is
// taken at the start, because Run raises GOMAXPROCS above it.
var cpus = runtime.GOMAXPROCS(0)

// NewOptions returns the defaults for this machine. Socket is left empty, because it depends on the environment; the
// logger discards.
func NewOptions() Options {
	const (
		maxMessage         = 256 << 10 // as much as a connection may have queued
		backendConcurrency = 1000
	)
	return Options{
		Listen:          []string{"127.0.0.1:7999"},
		SocketMode:      0o660,
		PublishListen:   "127.0.0.1:5561",
		Loops:           min(cpus, MaxLoops),
		MaxConnections:  max(1, FileLimit()-SpareFiles(min(cpus, MaxLoops), 1)),
		MaxHeader:       8 << 10,
		HeaderTimeout:   10 * time.Second,
		IdleTimeout:     60 * time.Second,
		StreamKeepAlive: 55 * time.Second,
		WSPing:          50 * time.Second,
		MaxQueued:       256 << 10,
		QueueMemory:     memoryShare("/"),
		HoldMemory:      memoryShare("/"),
		Overflow:        OverflowClose,
		MaxMessage:      maxMessage,
		MaxFrame:        FrameFor(maxMessage),
		DrainTimeout:    10 * time.Second,

		MaxSubscriptions: 20,

		BackendTimeout:     time.Minute,
		BackendConcurrency: backendConcurrency,
		Backends: BackendOptions{
			Connections: BackendConnections(backendConcurrency), Idle: min(256, FileLimit()/16), Open: backendOpen(),
			ConnectTimeout: 10 * time.Second, WaitingMemory: 256 << 20,
			MaxHead: 64 << 10, MaxHoldBody: exchange.MaxKept, MaxFilters: grip.MaxFilters,
			Proto: grip.ParseForwardedProto("proto-only", false),
		},
		SigIssuer:  "pushpin",
		IDCacheTTL: time.Minute,

		AllowOrigin:   new(origin.Rules),
		TokenCookie:   "pushd-token",
		TokenGrace:    10 * time.Second,
		HistoryMemory: 64 << 20,

		StatsdInterval: 10 * time.Second,
		StatsdPrefix:   "pushd",

		Log: slog.New(slog.DiscardHandler),
	}
}

// FileLimit is the number of files this process may have open: the hard RLIMIT_NOFILE, up to which the Go runtime
// raises the soft one.
func FileLimit() int {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return 1024 // what Linux gives when nothing is set
	}
	return int(min(r.Max, math.MaxInt32))
}

// FrameFor is the size of frame that the control socket must take for messages of maxMessage bytes: 1 MiB, and more
// only for larger messages than the default. A message without a format of its own is sent in three.
func FrameFor(maxMessage int) int {
	const frame, formats, rest = 1 << 20, 3, 64 << 10
	return max(frame, formats*maxMessage+rest)
}

// memoryShare is an eighth of the memory this process may use, in whole MiB; 128 MiB when that is not known.
func memoryShare(root string) int64 {
	n, err := stats.Memory(root)
	if err != nil {
		return 128 << 20
	}
	return max(1, n/8>>20) << 20
}
