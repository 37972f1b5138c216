package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"syscall"

	"holdfast/pkg/control"
	"holdfast/pkg/version"
)

// input is a part that listens for others than clients: publishers and operators.
type input struct {
	*task
	open  func() (net.Listener, error)
	serve func(ctx context.Context, ln net.Listener) error // closes ln when ctx ends
	addr  *net.Addr                                        // is told where it listens; may be nil
}

func (in *input) start() error {
	ln, err := in.open()
	if err != nil {
		return err
	}
	if in.addr != nil {
		*in.addr = ln.Addr()
	}
	in.run = func(ctx context.Context) error { return in.serve(ctx, ln) }
	return in.task.start()
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
	if o.SocketFile != nil {
		k.ln, err = fileListener(o.SocketFile)
		return err
	}
	ln, err := control.Listen(o.Socket, o.SocketMode, o.SocketGroup)
	if err != nil {
		return err
	}
	k.ln = ln
	return nil
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
				Program: "pushd " + version.String(), MaxFrame: o.MaxFrame, MaxMessage: o.MaxMessage,
				Inspector: &inspector{loops: s.loops},
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
