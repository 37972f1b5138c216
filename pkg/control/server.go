package control

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"holdfast/pkg/endpoint"
	"holdfast/pkg/hub"
	"holdfast/pkg/stats"
	"holdfast/pkg/wire"
)

// DefaultMaxClients is the number of clients that the control socket serves at a time.
const DefaultMaxClients = 128

// Bounds in time.
const (
	helloTimeout = 5 * time.Second  // for the whole hello
	frameTimeout = 30 * time.Second // between two reads of one frame
	writeTimeout = time.Minute      // for a client to read some of its answers
	lingerTime   = time.Second      // for the last acks of a client that ends, or of all at shutdown
	minInterval  = 10 * time.Millisecond
	maxInterval  = time.Hour
)

// Publisher takes items to their subscribers; hub.Directory is one. Publish takes the batch over,
// or returns why not. It may block as long as there is too much under way, and then its caller
// reads no more from its client. The batch's Done is called from any goroutine once the fate of all
// items is known, and not at all when Publish returned an error.
type Publisher interface {
	Publish(ctx context.Context, b *hub.Batch) error
}

// Options is what a Server needs. Publisher must be set.
type Options struct {
	Log        *slog.Logger          // nil means silence
	Publisher  Publisher             // takes the items
	Stats      func() stats.Snapshot // called from several goroutines; nil means that there are no statistics
	Inspector  Inspector             // knows single connections, channels and routes; nil means that nobody may ask
	Program    string                // name and version of the daemon, for the hello
	MaxFrame   int                   // bytes of a frame's payload; 0 means wire.MaxFrame
	MaxMessage int                   // bytes of an item's content; 0 means what a frame holds
	MaxClients int                   // at a time; 0 means DefaultMaxClients
}

// Server serves the control protocol.
type Server struct {
	o     Options
	hello []byte // magic and hello frame, the same for all clients
	log   *slog.Logger
	turns turns // of inspections
}

// New returns a Server. Serve starts it.
func New(o Options) *Server {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.MaxFrame <= 0 {
		o.MaxFrame = wire.MaxFrame
	}
	if o.MaxMessage <= 0 {
		o.MaxMessage = o.MaxFrame
	}
	if o.MaxClients <= 0 {
		o.MaxClients = DefaultMaxClients
	}
	features := []string{"publish"}
	if o.Stats != nil {
		features = append(features, "stats")
	}
	if o.Inspector != nil {
		features = append(features, "inspect", "events")
	}
	return &Server{o: o, log: o.Log, turns: newTurns(), hello: wire.AppendHello(nil, &wire.Hello{
		Version:    wire.Version,
		Program:    o.Program,
		PID:        os.Getpid(),
		MaxFrame:   o.MaxFrame,
		MaxMessage: o.MaxMessage,
		Features:   features,
	})}
}

// Serve serves clients of ln until ctx ends; then it closes ln, tells the clients, gives them the
// acks that come within a second, and returns nil. It returns only when all its goroutines are
// gone. A failing accept is tried again; only an ln that somebody else has closed is an error.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var clients sync.WaitGroup
	defer clients.Wait()
	ln = endpoint.NewListener(ln, "control socket", s.log)
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { ln.Close(); close(closed) })
	defer func() {
		if !stop() {
			<-closed // Close removes the socket and its lock
		}
	}()

	slots := make(chan struct{}, s.o.MaxClients)
	turned := turnedAway{log: s.log}
	for {
		nc, err := ln.Accept()
		if ctx.Err() != nil {
			if err == nil {
				nc.Close()
			}
			return nil
		}
		if err != nil {
			cancel() // the clients end as well
			return fmt.Errorf("accept control clients: %w", err)
		}
		select {
		case slots <- struct{}{}:
			clients.Go(func() {
				defer func() { <-slots }()
				newClient(s, nc).serve(ctx)
			})
		default:
			turned.away(ctx, nc, s.o.MaxClients)
		}
	}
}

// turnedAway answers clients for which there is no place. It belongs to the accepting goroutine.
type turnedAway struct {
	log  *slog.Logger
	last time.Time // of the last warning
	held int       // warnings held back since
}

func (t *turnedAway) away(ctx context.Context, nc net.Conn, limit int) {
	defer nc.Close()
	refusal := wire.AppendCold([]byte(wire.Magic), wire.TypeError, &wire.Failure{
		Code: wire.Busy, Text: fmt.Sprintf("%d clients are connected, the most there may be", limit), Fatal: true})
	nc.SetWriteDeadline(time.Now().Add(lingerTime)) //nolint:errcheck // fails only when closed
	nc.Write(refusal)                               //nolint:errcheck // it is told or it is gone
	if time.Since(t.last) < time.Second {
		t.held++
		return
	}
	t.log.LogAttrs(ctx, slog.LevelWarn, "control client turned away",
		slog.Int("limit", limit), slog.Int("held_back", t.held))
	t.last, t.held = time.Now(), 0
}
