package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"holdfast/pkg/control"
	"holdfast/pkg/version"
)

// input is a part that listens for others than clients: publishers and operators.
type input struct {
	*task
	open  func() (net.Listener, error)
	give  func(to *sockets, f *os.File)                    // nil: another part gives the socket up
	serve func(ctx context.Context, ln net.Listener) error // closes ln when ctx ends
	addr  *net.Addr                                        // is told where it listens; may be nil

	ln *inlet // once it has started
}

func (in *input) start() error {
	ln, err := in.open()
	if err != nil {
		return err
	}
	in.ln = &inlet{keepable: ln.(keepable)}
	if in.addr != nil {
		*in.addr = ln.Addr()
	}
	in.run = func(ctx context.Context) error { return in.serve(ctx, in.ln) }
	return in.task.start()
}

// quiesce ends the server as stop does, but for its socket: publishers get the acks that come
// within a second, and are told to go. They find the next pushd at the same address.
func (in *input) quiesce() error {
	in.ln.keep.Store(true)
	in.task.stop()
	return nil
}

func (in *input) detach(to *sockets) error {
	if in.give == nil {
		return nil
	}
	f, err := in.ln.File()
	if err != nil {
		return err
	}
	in.give(to, f)
	return in.ln.keepable.Close()
}

func (in *input) stop() {
	in.task.stop()
	in.ln.keepable.Close() // what quiesce has kept, and nobody has taken
}

// keepable is a listener that can stop accepting without being closed.
type keepable interface {
	net.Listener
	SetDeadline(t time.Time) error
	File() (*os.File, error)
}

// inlet is a listener as a server sees it.
type inlet struct {
	keepable
	keep atomic.Bool // Close leaves the socket open
}

func (l *inlet) Close() error {
	if l.keep.Load() {
		return l.SetDeadline(time.Unix(1, 0)) // ends Accept
	}
	return l.keepable.Close()
}

// socket is the control socket, from its path's being ours to its being served. It comes first, so
// that a second pushd for the same path does nothing else.
type socket struct {
	passive
	s  *Server
	ln net.Listener
}

func (k *socket) start() (err error) {
	o := k.s.opts
	var ours *control.Listener
	switch {
	case o.socketLock != nil:
		ours, err = control.Attach(o.Socket, o.SocketFile, o.socketLock)
	case o.SocketFile != nil:
		k.ln, err = fileListener(o.SocketFile)
		return err
	default:
		ours, err = control.Listen(o.Socket, o.SocketMode, o.SocketGroup)
	}
	k.ln = ours
	return err
}

func (k *socket) detach(to *sockets) (err error) {
	if ours, ok := k.ln.(*control.Listener); ok {
		to.control, to.lock, err = ours.Detach()
		return err
	}
	if to.control, err = k.ln.(keepable).File(); err != nil {
		return err
	}
	return k.ln.Close()
}

// stop closes the socket, unless the server that it was given to has done so.
func (k *socket) stop() { k.ln.Close() }

// openInput opens a listener at addr, which an option has given, or takes over the one that was
// handed over.
func (s *Server) openInput(name, option, addr string, handed *os.File) (net.Listener, error) {
	var ln net.Listener
	var err error
	if handed != nil {
		ln, err = fileListener(handed)
	} else {
		ln, err = net.Listen("tcp", addr)
	}
	if err != nil {
		return nil, fmt.Errorf("open the %s: %w", name, s.notShared(err, option))
	}
	return ln, nil
}

// notShared explains an address in use to somebody who shares addresses. Two publish or metrics
// endpoints on one address would each get some of the requests: a part of the clients would miss
// each item, and figures would jump.
func (s *Server) notShared(err error, option string) error {
	if !s.opts.ReusePort || !errors.Is(err, syscall.EADDRINUSE) {
		return err
	}
	return fmt.Errorf("%w: --reuse-port shares the addresses of clients only; "+
		"give this pushd its own --%s, or off", err, option)
}

// fileListener makes a listener of a socket that was handed over, which then is its own.
func fileListener(f *os.File) (net.Listener, error) {
	ln, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("take over listener %s: %w", f.Name(), err)
	}
	if unix, ok := ln.(*net.UnixListener); ok {
		unix.SetUnlinkOnClose(false) // whoever made it keeps it
	}
	if err := f.Close(); err != nil {
		return nil, errors.Join(fmt.Errorf("take over listener %s: %w", f.Name(), err), ln.Close())
	}
	return ln, nil
}

// controlInput serves the control socket.
func (s *Server) controlInput(k *socket) *input {
	return &input{
		task: s.task("control", nil),
		open: func() (net.Listener, error) { return k.ln, nil },
		serve: func(ctx context.Context, ln net.Listener) error {
			o := s.opts
			return control.New(control.Options{
				Log: o.Log, Publisher: s.loops.dir, Stats: s.Snapshot,
				Program: "pushd " + version.String(), Inspector: &inspector{loops: s.loops},
				MaxFrame: o.MaxFrame, MaxMessage: o.MaxMessage,
			}).Serve(ctx, ln)
		},
	}
}

// publishInput serves the HTTP publish endpoint.
func (s *Server) publishInput() *input {
	o := s.opts
	names := slices.Clone(o.PublishHosts)
	if host, _, err := net.SplitHostPort(o.PublishListen); err == nil {
		names = append(names, host)
	}
	return &input{
		task: s.task("publish endpoint", nil), addr: &s.publish,
		give: func(to *sockets, f *os.File) { to.publish = f },
		open: func() (net.Listener, error) {
			return s.openInput("publish endpoint", "publish-listen", o.PublishListen, o.PublishFile)
		},
		serve: func(ctx context.Context, ln net.Listener) error {
			return control.NewHTTP(control.HTTPOptions{
				Log: o.Log, Publisher: s.loops.dir, Names: names, Token: o.PublishToken,
				Draining: s.draining.Load, Trouble: s.loops.pulse.trouble,
				MaxBody: o.MaxFrame, MaxMessage: o.MaxMessage,
			}).Serve(ctx, ln)
		},
	}
}
